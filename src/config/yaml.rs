//! A spec's YAML: read into a job, with every mistake at its line and column.
//!
//! Invariant: what reading costs is bounded, whatever the text repeats by aliases. What a value means is not judged
//! here.

use std::fmt;
use std::path::{Path, PathBuf};

use batteuse_shared::limits;
use batteuse_shared::spec::{Job, SpecProblem};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{
    Error, Location, MessageFormatter, NonFiniteFloatPolicy, Options, Spanned, UserMessageFormatter, budget, options,
};

use super::{At, Mistake};

/// Characters of a line that are shown around a mistake: the widest that fits most terminals with the line's number.
const EXCERPT_CHARS: usize = 100;

/// A line of a spec, and a column of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: PathBuf,
    line: usize,
    column: usize,
    text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

impl Place {
    fn new(text: &str, file: &Path, at: Option<Location>) -> Self {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
        let (line, column) = at.map_or((1, 1), |at| (number(at.line()), number(at.column())));
        let text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
        Self { file: file.to_owned(), line, column, text }
    }

    /// The line's text with a mark under the column.
    #[must_use]
    pub fn excerpt(&self) -> String {
        // Control characters could move the terminal's cursor, and a tab the mark.
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let start = self.column.saturating_sub(EXCERPT_CHARS * 3 / 4);
        let text: String = self.text.chars().skip(start).take(EXCERPT_CHARS).map(printable).collect();
        let number = self.line.to_string();
        let (margin, before) = (" ".repeat(number.len()), " ".repeat(self.column - 1 - start));
        format!("  {number} | {}\n  {margin} | {before}^", text.trim_end())
    }
}

/// Limits for the text of a spec, which the caller has capped: aliases may not multiply it by more than four.
fn bounded() -> Options {
    options! {
        budget: budget! { max_total_scalar_bytes: 4 * limits::SPEC_BYTES_MAX },
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

/// Reads a job, unchecked.
///
/// # Errors
/// The first mistake: no YAML, an unknown or missing field, a field given twice, a value of another kind.
pub fn read(text: &str, file: &Path) -> Result<Job, Mistake> {
    serde_saphyr::from_str_with_options(text, bounded()).map_err(|error: Error| Mistake {
        at: At::Line(Place::new(text, file, error.location())),
        message: words(&error),
    })
}

/// What is wrong and what to do.
fn words(error: &Error) -> String {
    let one_of = |names: &[&str]| names.join(", ");
    match error {
        Error::AliasError { error, .. } => words(error),
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("`{field}` is no field here: remove it, or use one of {}", one_of(expected))
        }
        Error::SerdeMissingField { field, .. } => format!("the field `{field}` is missing in this map: add it"),
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("{variant:?} is not known here: use one of {}", one_of(expected))
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            format!("{unexpected} stands where something else is needed: write {expected}")
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` is given twice in this map: keep one"),
        Error::InvalidScalar { ty: needed, .. } | Error::Unexpected { expected: needed, .. } => {
            format!("this is not what is needed here: write {}", kind(needed))
        }
        Error::UnsupportedTag { tag, .. } => {
            format!("the tag {tag} has no meaning here: put text that begins with ! in quotes")
        }
        Error::Message { msg, .. } => msg.clone(),
        other => fixed_words(other).map_or_else(|| malformed(other), str::to_owned),
    }
}

/// The same for the errors that name nothing of the text.
fn fixed_words(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::NullIntoString { .. } => {
            "there is no text here: YAML takes ~, null, nothing and what begins with # for no value; \
             put the text in quotes"
        }
        Error::MultipleDocuments { .. } => "a second document begins here: one file holds one job, cut it in two",
        Error::Eof { .. } => "the spec ends here: it needs apiVersion, kind, metadata and spec",
        Error::UnknownAnchor { .. } => "this alias names no anchor: put text that begins with * in quotes",
        Error::Budget { .. } => "the spec grows beyond all measure by its aliases or its depth: write it out plainly",
        _ => return None,
    })
}

/// What the parser says of a text that is no YAML, and where such mistakes mostly come from.
fn malformed(error: &Error) -> String {
    let said = UserMessageFormatter.format_message(error);
    format!(
        "this is not well-formed YAML: {said}; see the indentation and the marks here and just before, \
         and put text of marks such as | # , ' in quotes"
    )
}

/// The kind of value that the deserializer names `name`, in plain words.
fn kind(name: &str) -> &str {
    match name {
        "u64" | "u32" | "u8" => "a whole number, 0 or more",
        "floating point" => "a number",
        "boolean" => "true or false",
        "sequence start" => "a list such as [a, b]",
        "mapping start" => "a map such as {field: value}",
        "string scalar" => "one text",
        other => other,
    }
}

/// Puts each problem at the line of its field, in the order of the lines.
pub fn locate(text: &str, file: &Path, problems: Vec<SpecProblem>) -> Vec<Mistake> {
    // The text was read once already; if it cannot be read as a tree, problems still have the path of their field.
    let tree: Option<Spanned<Node>> = serde_saphyr::from_str_with_options(text, bounded()).ok();
    let mut placed: Vec<(Place, String)> = problems
        .into_iter()
        .map(|p| (Place::new(text, file, tree.as_ref().map(|tree| find(tree, &p.path))), p.to_string()))
        .collect();
    placed.sort_by_key(|(place, _)| (place.line, place.column));
    placed.into_iter().map(|(place, message)| Mistake { at: At::Line(place), message }).collect()
}

/// The place of the deepest node on `path` (`spec.columns[2].name`).
fn find(tree: &Spanned<Node>, path: &str) -> Location {
    let mut at = tree;
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        let next = match &at.value {
            Node::Leaf => None,
            Node::Map(fields) => fields.iter().find(|(name, _)| name == step).map(|(_, node)| node),
            Node::List(nodes) => step.parse().ok().and_then(|i: usize| nodes.get(i)),
        };
        let Some(next) = next else { break };
        at = next;
    }
    at.referenced
}

/// The shape of a YAML text, to find the places of its fields.
#[derive(Debug)]
enum Node {
    Leaf,
    Map(Vec<(String, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Map(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }
}
