//! Names that say nothing, and text that does not belong in the repository.
//!
//! Invariant: only names that we give are judged: modules, types, functions, files. Local variables, fields and what others named
//! (`tracing::info!`, arrow's `ArrayData`) are not.

use super::Finding;
use super::lex::{Kind, lex, test_code};

/// Banned wherever they stand in a name: `LeaseManager`, `test_helpers`.
const ANYWHERE: [&str; 4] = ["manager", "helper", "processor", "util"];

/// Banned as the last word or the only one: `FileInfo`, `column_data`. In front they qualify a thing that has a name of its own:
/// `data_start`, `DataPage`; and as a part of a word they are another word: `Metadata`.
const LAST: [&str; 2] = ["info", "data"];

/// Names that a trait of others (tonic's `Connected`) gives to whoever implements it.
const OF_OTHERS: [&str; 2] = ["ConnectInfo", "connect_info"];

/// The banned word in a name in snake, kebab or camel case, in singular or plural.
fn banned_word(name: &str) -> Option<&'static str> {
    let words = words(name);
    let is = |word: &str, banned: &str| word == banned || word.strip_suffix('s') == Some(banned);
    let anywhere = ANYWHERE.into_iter().find(|banned| words.iter().any(|word| is(word, banned)));
    anywhere.or_else(|| LAST.into_iter().find(|banned| words.last().is_some_and(|word| is(word, banned))))
}

/// `HTTPFileInfo_v2` is http, file, info, v2.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let after_lower = at > 0 && !letters[at - 1].is_uppercase();
        let before_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let hump = letter.is_uppercase() && (after_lower || before_lower);
        if !letter.is_alphanumeric() || hump {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().expect("it starts with one word").extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Fires on a banned name given in a source file. Functions under `#[test]` are exempt: their names are sentences.
pub fn banned_names(path: &str, text: &str) -> Vec<Finding> {
    let tokens = lex(text);
    let tests = test_code(&tokens);
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        let gives = match keyword.text {
            "mod" | "struct" | "enum" | "union" | "trait" | "type" => true,
            "fn" => !(tests[at] && name.text.contains('_')),
            _ => false,
        };
        if let Some(word) = banned_word(name.text)
            && gives
            && !OF_OTHERS.contains(&name.text)
            && (keyword.kind, name.kind) == (Kind::Name, Kind::Name)
        {
            found.push(Finding::new(path, name.line, "names", advice(name.text, word)));
        }
    }
    found
}

/// Fires on a banned name of a source file or of a folder that holds one.
pub fn banned_file(path: &str) -> Vec<Finding> {
    let parts = path.trim_end_matches(".rs").split('/');
    let banned = parts.filter_map(|part| banned_word(part).map(|word| (part, word)));
    banned.map(|(part, word)| Finding::new(path, 1, "names", advice(part, word))).collect()
}

fn advice(name: &str, word: &str) -> String {
    format!("`{name}`: \"{word}\" says nothing; name it by the glossary, by what it is or does")
}

/// Folders of somebody's machine. Spelt in two halves, so that this file passes its own rule.
const MACHINE: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/tmp/", "bash"),
];

/// Work that was left.
const LEFT: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Fires on a path of one machine and on work left in a comment, in any text file.
pub fn foreign_text(path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let starts_path = |wanted: &&&str| {
            let mut hits = line.match_indices(**wanted);
            hits.any(|(start, _)| !line[..start].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c)))
        };
        if let Some(folder) = MACHINE.iter().find(starts_path) {
            let advice = format!("{folder} exists on one machine only; take the place from the caller");
            found.push(Finding::new(path, at + 1, "text", advice));
        }
        let word = |wanted: &&str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == *wanted);
        if let Some(word) = LEFT.into_iter().find(|wanted| word(wanted)) {
            found.push(Finding::new(path, at + 1, "text", format!("{word}: do it, or open an issue that says it")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_judged_by_its_words() {
        for bad in
            ["LeaseManager", "helpers", "CSVProcessor", "string_utils", "FileInfo", "column_data", "data", "Info"]
        {
            assert!(banned_word(bad).is_some(), "{bad}");
        }
        for good in
            ["data_start", "Metadata", "DataPage", "information", "futile", "manage", "ManagedLease", "infos_seen"]
        {
            assert_eq!(banned_word(good), None, "{good}");
        }
        assert_eq!(words("HTTPFileInfo_v2"), ["http", "file", "info", "v2"]);
    }

    #[test]
    fn only_names_that_we_give_are_judged() {
        let fires = |text| banned_names("a.rs", text).len();
        assert_eq!(fires("struct RunInfo; mod utils; fn get_data() {} type X = Y; trait Helper {} enum Data {}"), 5);
        assert_eq!(fires("fn f(data: &[u8]) { let info = data; tracing::info!(\"struct Data\"); a.into_data() }"), 0);
        assert_eq!(fires("#[test] fn a_file_without_data() {}"), 0);
        assert_eq!(banned_file("worker/src/util/mod.rs").len(), 1);
        assert_eq!(banned_file("src/generate/data_start.rs"), []);
    }

    #[test]
    fn text_speaks_of_the_project_alone() {
        let fires = |text: String| foreign_text("README.md", &text).len();
        assert_eq!(fires(format!("see {}x.csv", MACHINE[0])), 1);
        assert_eq!(fires(format!("cd `{}me`", MACHINE[1])), 1);
        assert_eq!(fires(format!("// {}: later", LEFT[0])), 1);
        assert_eq!(fires("worker/src, https://example.org/work, a/home/b, METODOLOGY, /worker/".to_owned()), 0);
    }
}
