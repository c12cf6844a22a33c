//! The properties of one setting. The settings themselves are in `settings_table.rs`.

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text; in a file also a number.
    Text,
    /// A whole number, at least this.
    Number(u64),
    /// `true` or `false`; on the command line an option without a value.
    Truth,
    /// A whole number; on the command line an option without a value, counted.
    Count,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Several texts, kept one per line; in the environment separated by commas.
    List,
    /// `COLUMN=NAME` several times, kept one per line; in the environment separated by commas, in a file a table.
    /// Values from several places are merged column by column.
    Columns,
    /// A program and its arguments; only in a file.
    Words,
}

/// The value that holds where none is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// There is none, or it is not worth mentioning.
    None,
    /// This text, read as if it were given.
    Value(&'static str),
    /// It depends on other things; these words say on what.
    Described(&'static str),
}

/// Where a value may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// On the command line, in the environment and in a file.
    All,
    /// In the environment and in a file: the setting leads to a secret, or is rarely needed.
    NotTyped,
    /// On the command line and in the environment: the setting selects the file, or the profile in it.
    NotInFile,
    /// On the command line only: the setting is about one command.
    TypedOnly,
}

/// Whether the run keeps the value, for `resume`, `verify` and `undo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// No: the value is secret, or is about one command.
    No,
    /// Yes; a later command on the run can set another value.
    Yes,
    /// Yes, and it never changes: the setting says how the run's own copy of the file is read.
    WithFile,
    /// Yes, and it never changes. An undo of the run uses it as well.
    AsBegun,
    /// Yes; a later command on the run can set another value. An undo of the run does not inherit it.
    AsGuard,
}

/// The heading in the help under which a setting is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// How the file is read.
    Input,
    /// What stops a run, and consent.
    Guards,
    /// Which system, and how it is called.
    System,
    /// What is printed.
    Output,
}

impl Group {
    /// All of them, in the order of the help.
    pub const ALL: [Self; 4] = [Self::Input, Self::Guards, Self::System, Self::Output];

    /// Its heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Guards => "Guards",
            Self::System => "System",
            Self::Output => "Output",
        }
    }
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key in a file; in capitals after `IDSHIFT_`, its variable in the environment.
    pub name: &'static str,
    /// What a value looks like.
    pub shape: Shape,
    /// What the help calls its value.
    pub value_name: &'static str,
    /// What it means, in a line.
    pub help: &'static str,
    /// Further help, which only `--help` shows.
    pub more: &'static str,
    /// A value, to show how it is typed.
    pub example: &'static str,
    /// The value where none is given.
    pub default: Default,
    /// The heading of its help.
    pub group: Group,
    /// Its option, where that is not its name with dashes.
    pub option: Option<&'static str>,
    /// Another name of its option.
    pub alias: Option<&'static str>,
    /// Its option of one letter.
    pub short: Option<char>,
    /// A setting that contradicts this one. If both are set, the place with the higher precedence decides.
    pub excludes: Option<&'static str>,
    /// Where a value may be given.
    pub sources: Sources,
    /// Whether the run keeps it.
    pub kept: Kept,
    /// Whether only the long help shows it.
    pub seldom: bool,
    /// Whether commands that do not use it accept it as well, and hide it.
    pub shared: bool,
    /// The commands that use it, and show it in their help; with a space between.
    pub used_by: &'static str,
}

/// What the settings of a group have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    pub(super) group: Group,
    pub(super) kept: Kept,
    pub(super) shared: bool,
    pub(super) used_by: &'static str,
}

impl Common {
    /// Returns a setting of the group with this key, shape of the value, name of the value, and help.
    pub(super) const fn setting(
        self,
        name: &'static str,
        shape: Shape,
        value_name: &'static str,
        help: &'static str,
    ) -> Setting {
        Setting {
            name,
            shape,
            value_name,
            help,
            more: "",
            example: "",
            default: Default::None,
            group: self.group,
            option: None,
            alias: None,
            short: None,
            excludes: None,
            sources: Sources::All,
            kept: self.kept,
            seldom: false,
            shared: self.shared,
            used_by: self.used_by,
        }
    }
}

/// One method per field, for the rows of the table.
macro_rules! fields {
    ($($field:ident($value:ident: $type:ty) = $stored:expr;)*) => {
        $(
            pub(super) const fn $field(mut self, $value: $type) -> Self {
                self.$field = $stored;
                self
            }
        )*
    };
}

impl Setting {
    fields! {
        more(text: &'static str) = text;
        example(value: &'static str) = value;
        default(default: Default) = default;
        option(name: &'static str) = Some(name);
        alias(name: &'static str) = Some(name);
        short(letter: char) = Some(letter);
        excludes(name: &'static str) = Some(name);
        sources(sources: Sources) = sources;
        kept(kept: Kept) = kept;
        seldom(seldom: bool) = seldom;
        shared(shared: bool) = shared;
        used_by(commands: &'static str) = commands;
    }

    /// Its variable in the environment; `None`: it has none.
    pub fn variable(&self) -> Option<String> {
        (self.sources != Sources::TypedOnly)
            .then(|| format!("IDSHIFT_{}", self.name.to_uppercase()))
    }

    /// Whether it may stand in a file.
    pub fn is_in_file(&self) -> bool {
        matches!(self.sources, Sources::All | Sources::NotTyped)
    }

    /// Its option, without the dashes before it.
    pub fn long(&self) -> String {
        self.option
            .map_or_else(|| self.name.replace('_', "-"), str::to_owned)
    }

    /// Whether this command has it as an option.
    pub fn is_option_of(&self, command: &str) -> bool {
        self.sources != Sources::NotTyped && (self.shared || self.is_used_by(command))
    }

    /// Whether this command uses it.
    pub fn is_used_by(&self, command: &str) -> bool {
        self.used_by.split(' ').any(|name| name == command)
    }

    /// What it means, in a line, with the default.
    pub fn line(&self) -> String {
        let help = self.help;
        match self.default {
            Default::None => help.to_owned(),
            Default::Value(words) | Default::Described(words) => {
                format!("{help} [default: {words}]")
            }
        }
    }

    /// Converts a value from the environment to the form in which values are kept.
    pub(super) fn of_variable(&self, text: String) -> String {
        match self.shape {
            Shape::List | Shape::Columns => {
                let parts = text.split(',').map(str::trim);
                let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
                parts.join("\n")
            }
            Shape::Truth => match text.as_str() {
                "1" | "yes" => "true".to_owned(),
                "0" | "no" => "false".to_owned(),
                _ => text,
            },
            Shape::Text | Shape::Number(_) | Shape::Count | Shape::Choice(_) | Shape::Words => text,
        }
    }
}

/// Returns the value of an environment variable; an empty one counts as not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
