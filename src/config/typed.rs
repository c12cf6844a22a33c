//! The settings on the command line.

use super::setting::{Setting, variable};
use super::settings_table::SETTINGS;
use std::path::PathBuf;

/// The settings on the command line, by name; several texts are kept one per line.
#[derive(Debug, Clone, Default)]
pub struct TypedSettings(Vec<(&'static str, String)>);

impl TypedSettings {
    /// Returns the value of a setting; `None`: it was not typed.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut typed = self.0.iter();
        typed.find_map(|(typed, value)| (*typed == name).then_some(value.as_str()))
    }

    /// Adds a value for a setting that was not typed.
    pub fn or(mut self, name: &'static str, value: &str) -> Self {
        if self.get(name).is_none() {
            self.0.push((name, value.to_owned()));
        }
        self
    }

    /// Returns all typed settings, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str)> {
        let typed = |setting: &'static Setting| Some((setting, self.get(setting.name)?));
        SETTINGS.iter().filter_map(typed)
    }

    /// Returns the configuration file that the command line or the environment names.
    pub fn config(&self) -> Option<PathBuf> {
        let variable = || variable("IDSHIFT_CONFIG");
        let named = self.get("config").map(str::to_owned).or_else(variable);
        named.map(PathBuf::from)
    }

    /// Returns the profile that the command line or the environment names.
    pub(super) fn profile(&self) -> Option<String> {
        let variable = || variable("IDSHIFT_PROFILE");
        self.get("profile").map(str::to_owned).or_else(variable)
    }
}

impl FromIterator<(&'static str, String)> for TypedSettings {
    fn from_iter<I: IntoIterator<Item = (&'static str, String)>>(typed: I) -> Self {
        Self(typed.into_iter().collect())
    }
}
