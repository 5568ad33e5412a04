//! The figures of a bench as one page of HTML with its plots in it: nothing is fetched, no script runs, and it follows the reader's
//! light or dark.
//!
//! Invariant: every text that is not ours is escaped.

use std::fmt;

use super::curve::Bench;
use super::plot;
use super::text::{COLUMNS, cells, facts};

const STYLE: &str = include_str!("page.css");

/// A text as HTML shows it, in elements and in quoted attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;"),
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                letter => fmt::Write::write_char(f, letter),
            }?;
        }
        Ok(())
    }
}

/// The page.
pub fn page(bench: &Bench) -> String {
    let title = format!("batteuse bench: {}", bench.source.name);
    let title = Escaped(&title);
    let facts: String =
        facts(bench).iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", Escaped(value))).collect();
    let notes: String = bench.notes.iter().map(|note| format!("<p class=\"note\">{}</p>\n", Escaped(note))).collect();
    let (throughput, phases, table) = (plot::throughput(bench), plot::phases(bench), table(bench));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<dl>
{facts}</dl>
{notes}<h2>Throughput</h2>
<p class="legend"><span class="key dot embedded"></span>embedded <span class="key square processes"></span>processes
<span class="key dashes"></span>one worker's speed times the workers; upright bars are the slowest and the fastest round</p>
{throughput}<h2>Where the slots' time goes</h2>
<p class="legend"><span class="key read"></span>read <span class="key parse"></span>parse <span class="key encode"></span>encode
<span class="key stage"></span>stage <span class="key wait"></span>wait: starting, inspecting, idling at the end, publishing</p>
{phases}<h2>Figures</h2>
{table}</body>
</html>
"#
    )
}

fn table(bench: &Bench) -> String {
    let head: String = COLUMNS.iter().map(|column| format!("<th>{column}</th>")).collect();
    let row = |cells: [String; 13]| -> String {
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", Escaped(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = bench.curve.iter().map(|point| row(cells(point))).collect();
    format!("<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text() {
        let bad = r#"<script>alert("a" & 'b')</script>.csv"#;
        let escaped = Escaped(bad).to_string();
        assert_eq!(escaped, "&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)&lt;/script&gt;.csv");
    }
}
