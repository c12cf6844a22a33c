//! The scripts of letters, as Unicode TS 39 tells them apart at its level "highly restrictive".

use unicode_script::{Script, ScriptExtension};
use unicode_security::mixed_script::AugmentedScriptSet;

/// The scripts of Japanese, Chinese and Korean, which are written beside Latin letters.
pub(super) const EAST_ASIAN: [Script; 5] = [
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Hangul,
    Script::Bopomofo,
];

/// Whether a letter is neither Latin nor of a script that is written beside Latin letters.
pub(super) fn is_foreign(c: char) -> bool {
    if c.is_ascii() || !c.is_alphabetic() {
        return false;
    }
    let scripts = ScriptExtension::from(c);
    let mut beside = [Script::Latin].into_iter().chain(EAST_ASIAN);
    !scripts.is_common()
        && !scripts.is_inherited()
        && !beside.any(|script| scripts.contains_script(script))
}

/// Whether the letters are of one script, or of Latin and an East Asian one ("highly restrictive").
pub(super) fn is_restrictive(value: &str) -> bool {
    let letters: String = value.chars().filter(|c| c.is_alphabetic()).collect();
    if !AugmentedScriptSet::for_str(&letters).is_empty() {
        return true;
    }
    let latin = |c: &char| ScriptExtension::from(*c).contains_script(Script::Latin);
    let others: String = letters.chars().filter(|c| !latin(c)).collect();
    let others = AugmentedScriptSet::for_str(&others);
    others.jpan || others.hanb || others.kore
}
