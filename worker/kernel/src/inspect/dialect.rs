//! Delimiter and quote: given, or the pair under which the samples are most regular.
//!
//! Invariant: what is given is never overruled. `"` is the quote unless the evidence speaks clearly against it, for the
//! first quote of a file may lie where no sample does. A real tie, or a header at odds with the records, is refused.

use batteuse_shared::limits;
use batteuse_shared::spec::{Csv, Dialect, Encoding, Ragged};

use super::evidence::{DELIMITERS, Evidence, First, Trial, Width, first_record};
use super::refusal::{Reading, Refusal};
use super::{Region, Stop};

/// Scores this close are a tie: the difference is a few ragged records.
const TIE: f64 = 0.02;
/// More than this share of the records must fit the first one for a delimiter to be taken on the samples' word.
const REGULAR: f64 = 0.5;
/// Share of the records after the first from which on their number of fields is taken to be meant.
const AGREEMENT: f64 = 0.8;
/// Quotes make so many times as many bytes irregular as their absence does: then they are plain text.
const CLEARLY: u64 = 4;

const TIED: &str = "give the right one";
const AT_ODDS: &str = "the first record and the others disagree: if lines stand before the header, skip them with \
                       `--skip-lines N`; otherwise give the delimiter (for a single column, one that the file does not hold)";

/// What is settled before types are looked at.
#[derive(Debug, Clone)]
pub(super) struct Settled {
    /// The dialect, its decimal mark the given one or a stand-in, and its automaton.
    pub(super) trial: Trial,
    /// The first record.
    pub(super) first: First,
    /// Widths of records.
    pub(super) width: Width,
}

/// One delimiter with one quote, under which the first record ends in time.
struct Choice {
    trial: Trial,
    first: First,
}

/// A delimiter with its better quote, and what speaks for it.
struct Judged {
    choice: Choice,
    evidence: Evidence,
}

/// What the first record is called.
pub(super) fn record_name(csv: &Csv) -> &'static str {
    if csv.header { "header" } else { "first record" }
}

/// Most bytes of the first record.
fn first_bytes_max(csv: &Csv) -> u64 {
    if csv.header { limits::HEADER_BYTES_MAX } else { limits::RECORD_BYTES_MAX }
}

/// Settles delimiter and quote; `regions[0]` is the head, from the first record on.
pub(super) fn settle(csv: &Csv, encoding: Encoding, regions: &[Region<'_>]) -> Result<Settled, Stop> {
    let mut delimiters = choices(csv, trials(csv, encoding, regions)?, &regions[0])?;
    let pad = csv.ragged == Ragged::Pad;
    let Choice { trial, first } = match (csv.given_delimiter(), csv.given_quote()) {
        (Some(_), Some(_)) => delimiters.swap_remove(0).swap_remove(0),
        (Some(_), None) => judge(delimiters.swap_remove(0), pad, regions).choice,
        (None, _) => choose(delimiters, pad, regions)?,
    };
    if first.fields > limits::COLUMNS_MAX {
        return Err(Refusal::TooManyColumns { record: record_name(csv), columns: first.fields }.into());
    }
    Ok(Settled { trial, first, width: Width { fields: first.fields, pad } })
}

/// The dialects to try, delimiter by delimiter, that obey the rules; `"` before no quote.
fn trials(csv: &Csv, encoding: Encoding, regions: &[Region<'_>]) -> Result<Vec<Vec<Trial>>, Refusal> {
    let delimiters = csv.given_delimiter().map_or_else(|| DELIMITERS.map(|byte| vec![byte]).to_vec(), |d| vec![d]);
    let appears = || regions.iter().any(|region| memchr::memchr(b'"', region.bytes).is_some());
    let quotes = match csv.given_quote() {
        Some(quote) => vec![quote],
        // An escape works inside quotes only, so who gives one means quotes.
        None if csv.escape_byte().is_none() && appears() => vec![Some(b'"'), None],
        None => vec![Some(b'"')],
    };
    let (mut trials, mut problems) = (Vec::new(), Vec::new());
    for delimiter in delimiters {
        let mut of_delimiter = Vec::new();
        for &quote in &quotes {
            let dialect = Dialect {
                decimal: csv.given_decimal().unwrap_or(if delimiter == b"." { b',' } else { b'.' }),
                delimiter: delimiter.clone(),
                quote,
                escape: csv.escape_byte(),
                comment: csv.comment_byte(),
                encoding,
            };
            match dialect.check() {
                Ok(()) => of_delimiter.push(Trial::new(dialect)),
                Err(found) => problems = found,
            }
        }
        if !of_delimiter.is_empty() {
            trials.push(of_delimiter);
        }
    }
    if trials.is_empty() { Err(Refusal::DialectRefused(problems)) } else { Ok(trials) }
}

/// Those trials under which the first record ends in time; at least one.
fn choices(csv: &Csv, trials: Vec<Vec<Trial>>, head: &Region<'_>) -> Result<Vec<Vec<Choice>>, Stop> {
    let max = first_bytes_max(csv);
    let mut too_long = false;
    let mut choice = |trial: Trial| {
        let first = first_record(&trial, head).filter(|first| first.end as u64 <= max);
        too_long |= first.is_none();
        first.map(|first| Choice { trial, first })
    };
    let mut delimiters: Vec<Vec<Choice>> =
        trials.into_iter().map(|of_delimiter| of_delimiter.into_iter().filter_map(&mut choice).collect()).collect();
    delimiters.retain(|choices| !choices.is_empty());
    if too_long && !head.last && head.bytes.len() as u64 <= max {
        // One byte more than the longest record: it tells whether a LF follows the record's CR.
        return Err(Stop::NeedsHead(head.offset + max + 1));
    }
    if delimiters.is_empty() {
        return Err(Refusal::HeaderTooLong { record: record_name(csv), offset: head.offset, max }.into());
    }
    Ok(delimiters)
}

/// Picks the quote of one delimiter.
fn judge(choices: Vec<Choice>, pad: bool, regions: &[Region<'_>]) -> Judged {
    let mut judged = choices.into_iter().map(|choice| {
        let width = Width { fields: choice.first.fields, pad };
        Judged { evidence: Evidence::of(&choice.trial, width, regions), choice }
    });
    let best = judged.next().expect("a delimiter without choices was left out");
    match judged.next() {
        Some(plain) if quotes_are_text(&best.evidence, &plain.evidence) => plain,
        _ => best,
    }
}

/// Whether quotes are plain text: reading them as quotes makes far more of the samples irregular, few records are
/// quoted in an orderly way, and orderly fields that need their quotes do not outnumber the broken ones.
///
/// Judged by bytes, since one lone quote can swallow many records into a single irregular one. A file that quotes a
/// column throughout and forgets to double some inner quotes is quoted all the same.
///
/// They are text too when every quoted field there is holds many lines that look like records, and fewer records are irregular
/// without quotes: two lone quotes in one column make a single record of many that is as regular as any other. The first
/// or the last line of an honest field is cut by it, and so is no record by itself.
fn quotes_are_text(quoted: &Evidence, plain: &Evidence) -> bool {
    if quoted.orderly == 0 && quoted.swallowing > plain.records - plain.exact {
        return true;
    }
    let irregular = quoted.unfit_bytes > 0 && plain.unfit_bytes.saturating_mul(CLEARLY) <= quoted.unfit_bytes;
    irregular && quoted.quoted * 2 < quoted.records && quoted.telling <= quoted.broken
}

/// Picks the delimiter. Those that cut the first record are looked at first, and mostly that is enough.
fn choose(delimiters: Vec<Vec<Choice>>, pad: bool, regions: &[Region<'_>]) -> Result<Choice, Refusal> {
    let cuts = |choices: &Vec<Choice>| choices.iter().any(|choice| choice.first.fields >= 2);
    let (cutting, rest): (Vec<_>, Vec<_>) = delimiters.into_iter().partition(cuts);
    let mut judged: Vec<Judged> = cutting.into_iter().map(|choices| judge(choices, pad, regions)).collect();
    let fits = |judged: &Judged| judged.fields() >= 2 && judged.evidence.regular() > REGULAR;
    let best = judged.iter().filter(|j| fits(j)).map(|j| j.evidence.score()).fold(0.0, f64::max);
    let tied = |j: &Judged| fits(j) && j.evidence.score() >= best - TIE;
    if let Some(widest) = judged.iter().filter(|j| tied(j)).map(Judged::fields).max() {
        judged.retain(|j| tied(j) && j.fields() == widest);
        if judged.len() > 1 {
            let candidates = judged.iter().map(Judged::reading).collect();
            return Err(Refusal::AmbiguousDialect { candidates, advice: TIED });
        }
        return Ok(judged.swap_remove(0).choice);
    }
    judged.extend(rest.into_iter().map(|choices| judge(choices, pad, regions)));
    irregular(judged)
}

/// Picks the delimiter when the records do not fit the first one under any, or nothing cuts the first one.
fn irregular(mut judged: Vec<Judged>) -> Result<Choice, Refusal> {
    let speaks = |j: &Judged| {
        let (fields, share) = j.evidence.usual();
        (fields >= 2 && share >= AGREEMENT).then_some((share, fields))
    };
    let loudest = first_max(&judged, |j| speaks(j).map(|(share, fields)| (true, share, fields)).unwrap_or_default());
    if speaks(&judged[loudest]).is_none() {
        // No delimiter makes sense of the records: the first one's word is taken, and a single column is legal. But where
        // the first record alone is cut, it is a name with a delimiter in it, or columns are missing: who can tell?
        let alone = |j: &Judged| j.fields() >= 2 && j.evidence.widths.values().sum::<u64>() > 0 && j.single();
        if judged.iter().any(alone) && judged.iter().any(|j| j.fields() == 1) {
            let candidates = judged.iter().filter(|j| alone(j)).map(Judged::reading).collect();
            return Err(Refusal::AmbiguousDialect { candidates, advice: AT_ODDS });
        }
        let best = first_max(&judged, |j| (j.fields() >= 2, j.evidence.regular(), j.fields()));
        return Ok(judged.swap_remove(best).choice);
    }
    if judged[loudest].fields() >= 2 {
        return Ok(judged.swap_remove(loudest).choice);
    }
    let shown = |(i, j): &(usize, &Judged)| *i == loudest || j.fields() >= 2;
    let candidates = judged.iter().enumerate().filter(shown).map(|(_, j)| j.reading()).collect();
    Err(Refusal::AmbiguousDialect { candidates, advice: AT_ODDS })
}

/// The index of the first of the greatest; there is at least one.
fn first_max<T: PartialOrd>(judged: &[Judged], key: impl Fn(&Judged) -> T) -> usize {
    (1..judged.len()).fold(0, |best, i| if key(&judged[i]) > key(&judged[best]) { i } else { best })
}

impl Judged {
    fn fields(&self) -> usize {
        self.choice.first.fields
    }

    /// Whether the records after the first have one field each, nearly all of them.
    fn single(&self) -> bool {
        let (fields, share) = self.evidence.usual();
        fields == 1 && share >= AGREEMENT
    }

    fn reading(&self) -> Reading {
        let (usual_fields, usual_share) = self.evidence.usual();
        let delimiter = self.choice.trial.dialect.delimiter[0];
        Reading { delimiter, first_fields: self.fields(), usual_fields, usual_share }
    }
}
