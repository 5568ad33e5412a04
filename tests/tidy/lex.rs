//! Rust source as tokens: enough of the language to see names, paths and bodies, and never to look into a string or comment.
//!
//! Invariant: every byte is in one token, in white space or in a comment; `unclosed` notices when that went wrong. It knows no
//! grammar and expands no macro: what stands inside a macro call is seen as written, which is what a reader sees too.

/// What a token is. Only names matter much; the others keep the places apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Name,
    Literal,
    Lifetime,
    Mark,
}

/// One token with the line it starts on, from 1. `::` is one mark, every other mark is one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    pub line: usize,
}

/// All tokens of a source text. Comments, doc comments included, are dropped.
pub fn lex(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = if first.is_whitespace() {
            (None, first.len_utf8())
        } else if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (None, block_comment(rest))
        } else if let Some(length) = string(rest) {
            (Some(Kind::Literal), length)
        } else if first == '\'' {
            quote(rest)
        } else if first.is_ascii_digit() {
            (Some(Kind::Literal), number(rest))
        } else if is_name(first) {
            (Some(Kind::Name), name(rest))
        } else {
            (Some(Kind::Mark), if rest.starts_with("::") { 2 } else { first.len_utf8() })
        };
        let slice = &rest[..length];
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: slice.strip_prefix("r#").unwrap_or(slice), line });
        }
        line += slice.matches('\n').count();
        at += length;
    }
    tokens
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Length of a name, `r#` included.
fn name(rest: &str) -> usize {
    let prefix = if rest.starts_with("r#") { 2 } else { 0 };
    prefix + rest[prefix..].find(|c| !is_name(c)).unwrap_or(rest.len() - prefix)
}

/// Length of a number: `1_000u64`, `0xff`, `1.5e3`; of `0..2` the first `0`.
fn number(rest: &str) -> usize {
    let whole = name(rest);
    match rest[whole..].strip_prefix('.') {
        Some(after) if after.starts_with(|c: char| c.is_ascii_digit()) => whole + 1 + name(after),
        _ => whole,
    }
}

/// Length of a comment that may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = &rest.as_bytes()[at..];
        if step.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if step.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of a string or byte literal in any of its spellings; `None` if none starts here.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c: char| !c.is_ascii_alphabetic())?;
    let (letters, tail) = rest.split_at(prefix);
    let hashes = tail.len() - tail.trim_start_matches('#').len();
    match letters {
        "r" | "br" | "cr" if tail[hashes..].starts_with('"') => {
            let close = format!("\"{}", "#".repeat(hashes));
            let body = prefix + hashes + 1;
            Some(rest[body..].find(&close).map_or(rest.len(), |end| body + end + close.len()))
        }
        "" | "b" | "c" if tail.starts_with('"') => Some(prefix + escaped(tail, b'"')),
        "b" if tail.starts_with('\'') => Some(prefix + escaped(tail, b'\'')),
        _ => None,
    }
}

/// Length of a literal that opens with `quote` and knows backslashes.
fn escaped(rest: &str, quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest.as_bytes()[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A single quote opens a character (`'a'`, `'\n'`, `'é'`) or a lifetime (`'a`).
fn quote(rest: &str) -> (Option<Kind>, usize) {
    let mut after = rest[1..].chars();
    let first = after.next();
    if first == Some('\\') || after.next() == Some('\'') {
        return (Some(Kind::Literal), escaped(rest, b'\''));
    }
    (Some(Kind::Lifetime), 1 + name(&rest[1..]))
}

/// The line of a bracket without partner, if there is one: the text was not understood, or is no Rust.
pub fn unclosed(tokens: &[Token]) -> Option<usize> {
    let mut open = Vec::new();
    for token in tokens.iter().filter(|token| token.kind == Kind::Mark) {
        let partner = match token.text {
            "(" | "[" | "{" => {
                open.push(token);
                continue;
            }
            ")" => "(",
            "]" => "[",
            "}" => "{",
            _ => continue,
        };
        if open.pop().is_none_or(|opening| opening.text != partner) {
            return Some(token.line);
        }
    }
    open.pop().map(|token| token.line)
}

/// Index of the bracket that closes the one at `open`.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open).filter(|(_, token)| token.kind == Kind::Mark) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Index of the last token of the item that starts at `from`: its `;`, or the `}` of its first block.
pub fn item_end(tokens: &[Token], from: usize) -> usize {
    let mut at = from;
    while let Some(token) = tokens.get(at) {
        match (token.kind, token.text) {
            (Kind::Mark, ";") => return at,
            (Kind::Mark, "{") => return closing(tokens, at),
            (Kind::Mark, "(" | "[") => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    tokens.len().saturating_sub(1)
}

/// For each token, whether it stands in an item under `#[test]`, `#[tokio::test]` or `#[cfg(test)]`.
pub fn test_code(tokens: &[Token]) -> Vec<bool> {
    let mut marked = vec![false; tokens.len()];
    for at in 0..tokens.len() {
        let inner = tokens.get(at + 1).is_some_and(|token| token.text == "!");
        let open = at + 1 + usize::from(inner);
        if tokens[at].text != "#" || tokens.get(open).is_none_or(|token| token.text != "[") {
            continue;
        }
        let close = closing(tokens, open);
        if is_test_attribute(&tokens[open + 1..close]) {
            let end = if inner { tokens.len() - 1 } else { item_end(tokens, close + 1) };
            marked[at..=end].fill(true);
        }
    }
    marked
}

fn is_test_attribute(tokens: &[Token]) -> bool {
    let names = |token: &&Token| token.kind == Kind::Name;
    let path_end = tokens.iter().position(|token| token.text == "(").unwrap_or(tokens.len());
    match tokens[..path_end].iter().rfind(names) {
        Some(token) if token.text == "cfg" => {
            let named = |word| tokens[path_end..].iter().filter(names).any(|token| token.text == word);
            named("test") && !named("not")
        }
        last => last.is_some_and(|token| token.text == "test"),
    }
}

/// A path as written or as a `use` imports it (groups are spelt out), with its line.
#[derive(Debug, PartialEq, Eq)]
pub struct Path<'a> {
    pub segments: Vec<&'a str>,
    pub imported: bool,
    pub line: usize,
    /// Index of the token it ends at, to ask `test_code` about.
    pub token: usize,
}

impl Path<'_> {
    /// Whether `wanted` (`std::env`) stands somewhere in the path as whole segments.
    pub fn names(&self, wanted: &str) -> bool {
        let wanted: Vec<_> = wanted.split("::").collect();
        self.segments.windows(wanted.len()).any(|window| window == wanted)
    }

    /// The crate or first module, where the path is certainly a path and no lone variable.
    pub fn root(&self) -> Option<&str> {
        (self.imported || self.segments.len() > 1).then(|| self.segments[0])
    }
}

/// All paths of a source text, lone names included.
pub fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = tokens[at];
        let next = tokens.get(at + 1).map_or("", |token| token.text);
        if token.kind != Kind::Name {
            at += 1;
        } else if token.text == "use" && next != "<" {
            at = use_tree(tokens, at + 1, Vec::new(), &mut found);
        } else {
            let mut segments = vec![token.text];
            while let [colons, name, ..] = &tokens[at + 1..]
                && (colons.text, name.kind) == ("::", Kind::Name)
            {
                segments.push(name.text);
                at += 2;
            }
            found.push(Path { segments, imported: false, line: token.line, token: at });
            at += 1;
        }
    }
    found
}

/// Reads one tree of a `use` from `at` and gives the index of the token after it.
fn use_tree<'a>(tokens: &[Token<'a>], mut at: usize, mut segments: Vec<&'a str>, found: &mut Vec<Path<'a>>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => at += 1,
            "as" => at += 2,
            "{" => {
                let close = closing(tokens, at);
                at += 1;
                while at < close {
                    at = use_tree(tokens, at, segments.clone(), found).max(at + 1);
                    at += usize::from(tokens[at.min(close)].text == ",");
                }
                return close + 1;
            }
            "," | "}" | ";" => {
                let line = tokens[at - 1].line;
                found.push(Path { segments, imported: true, line, token: at - 1 });
                return at;
            }
            name => {
                segments.push(name);
                at += 1;
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        lex(source).iter().map(|token| token.text).collect()
    }

    #[test]
    fn strings_and_comments_hide_nothing_and_show_nothing() {
        assert_eq!(texts("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
        assert_eq!(texts(r##"a "b \" // c" r#"d " e"# b'\'' 'f' '\'' '"' g"##).len(), 8);
        assert_eq!(texts("&'a str, '_x: 'é' 'b'"), ["&", "'a", "str", ",", "'_x", ":", "'é'", "'b'"]);
        assert_eq!(texts("r#type 0..2 1.5e3 x.0"), ["type", "0", ".", ".", "2", "1.5e3", "x", ".", "0"]);
        assert_eq!(lex("\"a\nb\"\nc").last().map(|token| token.line), Some(3));
    }

    #[test]
    fn brackets_must_close() {
        assert_eq!(unclosed(&lex("fn a() { b[0] }")), None);
        assert_eq!(unclosed(&lex("fn a() {\n b(]\n}")), Some(2));
        assert_eq!(unclosed(&lex("fn a() {\n")), Some(1));
    }

    #[test]
    fn test_code_is_what_stands_under_a_test_attribute() {
        let source = "fn a() {} #[test] fn b() { c(); } #[cfg(test)] mod d; #[cfg(not(test))] fn e() {} \
                      #[tokio::test(flavor = \"x\")] async fn f() {} fn g() {}";
        let tokens = lex(source);
        let marked = test_code(&tokens);
        let inside = tokens.iter().zip(marked).filter(|(_, test)| *test).map(|(token, _)| token.text);
        let names: Vec<_> = inside.filter(|text| text.len() == 1 && text.chars().all(is_name)).collect();
        assert_eq!(names, ["b", "c", "d", "f"]);
        assert!(test_code(&lex("#![cfg(test)] fn a() {}")).into_iter().all(|test| test));
    }

    #[test]
    fn uses_are_spelt_out_and_calls_are_paths() {
        let tokens = lex("use a::{b::{self, c as d}, e::*,}; fn f() { g::h::i(); ::j::k; l.m }");
        let found: Vec<_> = paths(&tokens).iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, ["a::b::self", "a::b::c", "a::e::*", "fn", "f", "g::h::i", "j::k", "l", "m"]);
    }
}
