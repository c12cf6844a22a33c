//! What is known about one setting. The settings themselves are in `settings.rs`.

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text; in a file also a number.
    Text,
    /// A whole number from this on.
    Number(u64),
    /// `true` or `false`; on the command line an option without a value.
    Truth,
    /// A whole number; on the command line an option without a value, counted.
    Count,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Several texts. As a value: one a line; in the environment with commas between.
    List,
    /// `COLUMN=NAME` several times; in a file a table. As a value: one a line; in the environment with commas between.
    /// What is said in several places counts column by column.
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
    /// Something that depends on other things; these words say on what.
    Described(&'static str),
}

/// Where a value may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    /// On the command line, in the environment and in a file.
    All,
    /// In the environment and in a file: it leads to a secret, or is hardly ever needed.
    NotTyped,
    /// On the command line and in the environment: it says which part of which file is read.
    NotInFile,
    /// On the command line only: nothing that holds for longer than one command.
    TypedOnly,
}

/// Whether the run keeps it, for `resume`, `verify` and `undo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// No: it is secret, or is about one command.
    No,
    /// Yes; it can be given anew.
    Yes,
    /// Yes, and it never changes: it says how the run's own copy of the file is read.
    WithFile,
    /// Yes, and it never changes. An undo of the run has it as well.
    AsBegun,
    /// Yes; it can be given anew. An undo of the run has its own.
    AsGuard,
}

/// The heading of the help that it stands under.
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
    /// What `--help` says besides.
    pub more: &'static str,
    /// A value, to show how it is typed.
    pub example: &'static str,
    /// The value where none is given.
    pub default: Default,
    /// Where its help stands.
    pub group: Group,
    /// Its option, where that is not its name with dashes.
    pub option: Option<&'static str>,
    /// Another name of its option.
    pub alias: Option<&'static str>,
    /// Its option of one letter.
    pub short: Option<char>,
    /// A setting that cannot hold at the same time: of both, the one that was said nearer counts.
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

/// The settings of a group, with what they have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    pub(super) group: Group,
    pub(super) kept: Kept,
    pub(super) shared: bool,
    pub(super) used_by: &'static str,
}

impl Common {
    /// A setting of the group: its key, what a value looks like and is called, and what it means.
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

    /// A value as it stands in the environment, in the form in which values are kept.
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

/// The value of a variable in the environment; an empty one counts as none.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
