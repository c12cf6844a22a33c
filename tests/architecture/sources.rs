//! The source files as tokens: which names each file takes from which other file.
//!
//! The files are read as tokens and not as lines. So code below a test module, in macros and in `use` trees of several
//! lines counts; comments, texts and tests do not.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A path in the code, `crate::input::Row` or `csv::Reader`, as it is written.
struct Named {
    line: usize,
    segments: Vec<String>,
}

/// One source file.
struct Source {
    path: PathBuf,
    /// The path of its module, below the crate: `input`, `table`.
    module: Vec<String>,
    named: Vec<Named>,
    /// Names that it re-exports from its children: `Row` is `row::Row`.
    handed_on: BTreeMap<String, Vec<String>>,
}

/// An import: a name that one file takes from another.
pub(crate) struct Import {
    pub(crate) from: PathBuf,
    pub(crate) line: usize,
    pub(crate) to: PathBuf,
    /// The top-level modules of both: `input`, `domain`.
    pub(crate) rooms: (String, String),
}

/// A crate that is named in a file.
pub(crate) struct Foreign {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// All source files of the program, tests left out.
pub(crate) struct Sources {
    files: BTreeMap<Vec<String>, Source>,
}

/// Returns whether a file contains only tests.
fn is_test(path: &Path) -> bool {
    let is_tests =
        |part: &str| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs");
    path.iter().filter_map(|part| part.to_str()).any(is_tests)
}

/// The rust files below a folder.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(kind) if kind == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect();
    files.sort();
    files
}

impl Sources {
    /// Reads all files below `src`.
    pub(crate) fn read() -> Self {
        let root = Path::new("src");
        let files = rust_files(root)
            .into_iter()
            .filter(|path| !is_test(path))
            .map(|path| Source::read(root, path))
            .filter(|source| source.module != ["main"])
            .map(|source| (source.module.clone(), source));
        let files: BTreeMap<_, _> = files.collect();
        assert!(files.len() > 100, "the sources were not found");
        Self { files }
    }

    /// Returns the top-level modules.
    pub(crate) fn rooms(&self) -> BTreeSet<String> {
        let modules = self.files.keys();
        modules
            .filter_map(|module| module.first().cloned())
            .collect()
    }

    /// Returns the imports of all files.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for source in self.files.values() {
            for named in &source.named {
                let Some(path) = self.absolute(source, &named.segments) else {
                    continue;
                };
                let to = self.file_of(&path);
                let (from, to) = (source, &self.files[&to]);
                let room = |source: &Source| source.module.first().cloned().unwrap_or_default();
                if from.path != to.path {
                    imports.push(Import {
                        from: from.path.clone(),
                        line: named.line,
                        to: to.path.clone(),
                        rooms: (room(from), room(to)),
                    });
                }
            }
        }
        imports
    }

    /// Returns each use of these crates, with its file.
    pub(crate) fn foreign(&self, crates: &[&str]) -> Vec<Foreign> {
        let mut found = Vec::new();
        for source in self.files.values() {
            let named = source.named.iter();
            for named in named.filter(|named| crates.contains(&named.segments[0].as_str())) {
                found.push(Foreign {
                    file: source.path.clone(),
                    line: named.line,
                    name: named.segments[0].clone(),
                });
            }
        }
        found
    }

    /// Returns the path below the crate; `None`: it belongs to another crate, or to the file itself.
    fn absolute(&self, source: &Source, segments: &[String]) -> Option<Vec<String>> {
        let mut at = source.module.clone();
        let mut rest = segments;
        match segments[0].as_str() {
            "crate" => {
                at.clear();
                rest = &segments[1..];
            }
            "self" => rest = &segments[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                at.push(child.to_owned());
                if !self.files.contains_key(&at) {
                    return None;
                }
                rest = &segments[1..];
            }
        }
        at.extend(rest.iter().cloned());
        Some(at)
    }

    /// Returns the module in which a path is defined, through all re-exports.
    fn file_of(&self, path: &[String]) -> Vec<String> {
        let mut module: Vec<String> = Vec::new();
        let mut rest = path;
        while let Some((next, more)) = rest.split_first() {
            let mut child = module.clone();
            child.push(next.clone());
            if self.files.contains_key(&child) {
                module = child;
                rest = more;
                continue;
            }
            let source = &self.files[&module];
            if let Some(handed_on) = source.handed_on.get(next)
                && let Some(path) = self.absolute(source, handed_on)
            {
                return self.file_of(&path);
            }
            break;
        }
        module
    }
}

impl Source {
    fn read(root: &Path, path: PathBuf) -> Self {
        let inside = path.strip_prefix(root).unwrap().with_extension("");
        let mut module: Vec<String> = inside
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        if module
            .last()
            .is_some_and(|last| last == "mod" || last == "lib")
        {
            module.pop();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let tokens: TokenStream = text.parse().unwrap();
        let mut source = Self {
            path,
            module,
            named: Vec::new(),
            handed_on: BTreeMap::new(),
        };
        source.walk(tokens);
        source
    }

    fn walk(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                _ if is_test_attribute(&tokens[at..]) => at = behind_item(&tokens, at + 2),
                // The path in `pub(in crate::cli)` is no import.
                TokenTree::Ident(word) if *word == "pub" => {
                    let is_limited = matches!(tokens.get(at + 1), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    at += 1 + usize::from(is_limited);
                }
                TokenTree::Group(group) => {
                    self.walk(group.stream());
                    at += 1;
                }
                TokenTree::Ident(word) if *word == "use" => {
                    let end = position(&tokens, at, ';');
                    let is_handed_on = is_public(&tokens[..at]);
                    self.use_tree(&tokens[at + 1..end], &[], is_handed_on);
                    at = end + 1;
                }
                TokenTree::Ident(_) if !follows_colons(&tokens[..at]) => {
                    at = self.path(&tokens, at);
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => at += 1,
            }
        }
    }

    /// Reads a path in an expression, a type or a pattern. Returns where it ends.
    fn path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let mut segments = Vec::new();
        let mut at = start;
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            segments.push(word.to_string());
            at += 1;
            if !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
                break;
            }
            at += 2;
        }
        if segments.len() > 1 {
            let line = tokens[start].span().start().line;
            self.named.push(Named { line, segments });
        }
        at
    }

    /// Reads a `use` tree below a prefix.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &[String], is_handed_on: bool) {
        for branch in tokens.split(|token| is_punct(Some(token), ',')) {
            let mut segments = prefix.to_vec();
            let mut name = None;
            let mut words = branch.iter();
            while let Some(token) = words.next() {
                match token {
                    TokenTree::Ident(word) if *word == "as" => {
                        name = words.next().map(ToString::to_string);
                    }
                    TokenTree::Ident(word) => segments.push(word.to_string()),
                    TokenTree::Group(group) => {
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.use_tree(&inner, &segments, is_handed_on);
                        segments.clear();
                    }
                    TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                }
            }
            if segments.last().is_some_and(|last| last == "self") && segments.len() > 1 {
                segments.pop();
            }
            let (Some(last), Some(first)) = (segments.last().cloned(), branch.first()) else {
                continue;
            };
            let is_child = !matches!(segments[0].as_str(), "crate" | "super");
            if is_handed_on && is_child {
                self.handed_on.insert(name.unwrap_or(last), segments);
            } else {
                let line = first.span().start().line;
                self.named.push(Named { line, segments });
            }
        }
    }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn follows_colons(before: &[TokenTree]) -> bool {
    is_punct(before.last(), ':') && before.len() > 1 && is_punct(before.get(before.len() - 2), ':')
}

/// Whether the tokens end with `pub` or `pub(…)`.
fn is_public(before: &[TokenTree]) -> bool {
    let is_pub =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Ident(word)) if *word == "pub");
    match before.split_last() {
        Some((TokenTree::Group(group), rest)) if group.delimiter() == Delimiter::Parenthesis => {
            is_pub(rest.last())
        }
        Some((last, _)) => is_pub(Some(last)),
        None => false,
    }
}

/// `#[cfg(test)]`, alone or with other conditions.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = tokens else {
        return false;
    };
    let text = group.stream().to_string().replace(' ', "");
    hash.as_char() == '#' && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

fn position(tokens: &[TokenTree], from: usize, wanted: char) -> usize {
    let found = (from..tokens.len()).find(|at| is_punct(tokens.get(*at), wanted));
    found.unwrap_or(tokens.len())
}

/// Returns where the item that begins here ends: after its `;`, its braces, or the `,` after a field.
fn behind_item(tokens: &[TokenTree], from: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => matches!(punct.as_char(), ';' | ','),
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    };
    let found = (from..tokens.len()).find(|at| ends(&tokens[*at]));
    found.map_or(tokens.len(), |at| at + 1)
}
