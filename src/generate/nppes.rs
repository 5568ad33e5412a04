//! The shape of the American register of health providers (NPPES): 330 columns, every field in quotes, most of them empty,
//! MM/DD/YYYY. Names and places are the French ones of the other shapes. No field needs its quotes: without them the file
//! reads the same.

use super::Records;
use super::page::{Page, civil_date};
use super::random::{Odds, Random};
use super::tables::Tables;

/// Columns before the taxonomies.
const FIRST_COLUMNS: [&str; 47] = [
    "NPI",
    "Entity Type Code",
    "Replacement NPI",
    "Employer Identification Number (EIN)",
    "Provider Organization Name (Legal Business Name)",
    "Provider Last Name (Legal Name)",
    "Provider First Name",
    "Provider Middle Name",
    "Provider Name Prefix Text",
    "Provider Name Suffix Text",
    "Provider Credential Text",
    "Provider Other Organization Name",
    "Provider Other Organization Name Type Code",
    "Provider Other Last Name",
    "Provider Other First Name",
    "Provider Other Middle Name",
    "Provider Other Name Prefix Text",
    "Provider Other Name Suffix Text",
    "Provider Other Credential Text",
    "Provider Other Last Name Type Code",
    "Provider First Line Business Mailing Address",
    "Provider Second Line Business Mailing Address",
    "Provider Business Mailing Address City Name",
    "Provider Business Mailing Address State Name",
    "Provider Business Mailing Address Postal Code",
    "Provider Business Mailing Address Country Code (If outside U.S.)",
    "Provider Business Mailing Address Telephone Number",
    "Provider Business Mailing Address Fax Number",
    "Provider First Line Business Practice Location Address",
    "Provider Second Line Business Practice Location Address",
    "Provider Business Practice Location Address City Name",
    "Provider Business Practice Location Address State Name",
    "Provider Business Practice Location Address Postal Code",
    "Provider Business Practice Location Address Country Code (If outside U.S.)",
    "Provider Business Practice Location Address Telephone Number",
    "Provider Business Practice Location Address Fax Number",
    "Provider Enumeration Date",
    "Last Update Date",
    "NPI Deactivation Reason Code",
    "NPI Deactivation Date",
    "NPI Reactivation Date",
    "Provider Sex Code",
    "Authorized Official Last Name",
    "Authorized Official First Name",
    "Authorized Official Middle Name",
    "Authorized Official Title or Position",
    "Authorized Official Telephone Number",
];

const TAXONOMIES: usize = 15;
/// Of one taxonomy; each name ends with `_` and its number.
const TAXONOMY_COLUMNS: [&str; 4] = [
    "Healthcare Provider Taxonomy Code",
    "Provider License Number",
    "Provider License Number State Code",
    "Healthcare Provider Primary Taxonomy Switch",
];

const OTHER_IDENTIFIERS: usize = 50;
/// Of one other identifier, numbered likewise.
const OTHER_IDENTIFIER_COLUMNS: [&str; 4] = [
    "Other Provider Identifier",
    "Other Provider Identifier Type Code",
    "Other Provider Identifier State",
    "Other Provider Identifier Issuer",
];

const ORGANIZATION_COLUMNS: [&str; 7] = [
    "Is Sole Proprietor",
    "Is Organization Subpart",
    "Parent Organization LBN",
    "Parent Organization TIN",
    "Authorized Official Name Prefix Text",
    "Authorized Official Name Suffix Text",
    "Authorized Official Credential Text",
];
const TAXONOMY_GROUP_COLUMN: &str = "Healthcare Provider Taxonomy Group";
const LAST_COLUMN: &str = "Certification Date";

const NPI_FIRST: u64 = 1_000_000_000;
/// Eight million providers among a thousand million numbers.
const NPI_STEP_MAX: u64 = 250;
/// 2005-05-23, when the first numbers were given, in days since 1970.
const FIRST_DAY: u64 = 12_926;
const DAYS: u64 = 7_000;

const INDIVIDUAL: Odds = Odds::percent(76);
const MIDDLE_NAME: Odds = Odds::percent(60);
const CREDENTIAL: Odds = Odds::percent(65);
const OTHER_NAME: Odds = Odds::percent(10);
const SECOND_LINE: Odds = Odds::percent(30);
const FAX: Odds = Odds::percent(45);
const SOLE_PROPRIETOR: Odds = Odds::percent(35);
const LICENSED: Odds = Odds::percent(55);
const IDENTIFIED_OTHERWISE: Odds = Odds::percent(18);
const IN_A_GROUP: Odds = Odds::percent(8);
const CERTIFIED: Odds = Odds::percent(40);

const CREDENTIALS: [&str; 8] = ["M.D.", "MD", "D.O.", "DDS", "LCSW", "R.N.", "PT", "PHARM.D."];
const ORGANIZATIONS: [&str; 5] = ["CLINIC", "PHARMACY", "MEDICAL GROUP PC", "HOSPITAL INC", "& ASSOCIATES LLC"];
const TITLES: [&str; 5] = ["OWNER", "PRESIDENT", "CEO", "OFFICE MANAGER", "DIRECTOR OF BILLING"];
const STATES: [&str; 12] = ["CA", "NY", "TX", "FL", "PA", "IL", "OH", "MI", "NC", "MA", "GA", "WA"];
const STREET_TYPES: [&str; 6] = ["ST", "AVE", "BLVD", "RD", "DR", "PKWY"];
/// The most frequent first.
const TAXONOMY_CODES: [&str; 10] = [
    "207R00000X",
    "163W00000X",
    "1041C0700X",
    "106H00000X",
    "122300000X",
    "225100000X",
    "3336C0003X",
    "207Q00000X",
    "363LF0000X",
    "261QM1300X",
];

/// Providers in the order of their numbers.
pub(super) struct Nppes {
    tables: Tables,
    random: Random,
    npi: u64,
}

impl Nppes {
    pub(super) fn new(tables: Tables, random: Random) -> Self {
        Self { tables, random, npi: NPI_FIRST }
    }
}

impl Records for Nppes {
    fn append_header(&self, page: &mut Page) {
        let numbered = |page: &mut Page, names: &[&str], groups: usize| {
            for number in 1..=groups {
                for name in names {
                    page.quoted(&[name, "_", &number.to_string()]);
                }
            }
        };
        FIRST_COLUMNS.iter().for_each(|name| page.quoted(&[name]));
        numbered(page, &TAXONOMY_COLUMNS, TAXONOMIES);
        numbered(page, &OTHER_IDENTIFIER_COLUMNS, OTHER_IDENTIFIERS);
        ORGANIZATION_COLUMNS.iter().for_each(|name| page.quoted(&[name]));
        numbered(page, &[TAXONOMY_GROUP_COLUMN], TAXONOMIES);
        page.quoted(&[LAST_COLUMN]);
        page.end_header();
    }

    fn append(&mut self, page: &mut Page) {
        let Self { tables, random, npi } = self;
        *npi += random.within(1..=NPI_STEP_MAX);
        let individual = random.happens(INDIVIDUAL);
        page.quoted(&[&npi.to_string()]);
        page.quoted(&[if individual { "1" } else { "2" }]);
        if individual {
            append_person(tables, random, page)
        } else {
            append_organization(tables, random, page)
        }
        let state = *random.choose_skewed(&STATES);
        append_address(tables, random, state, page); // mailing
        append_address(tables, random, state, page); // practice
        let enumerated = FIRST_DAY + random.below(DAYS);
        append_date(enumerated, page);
        append_date(enumerated + random.below(DAYS / 2), page);
        page.quoted_empty(3); // deactivation and reactivation
        append_official(individual, tables, random, page);
        append_taxonomies(random, state, page);
        append_other_identifiers(random, state, page);
        append_standing(individual, random, page);
        page.end_record();
    }
}

/// Replacement NPI to the type of the other last name, of a person.
fn append_person(tables: &Tables, random: &mut Random, page: &mut Page) {
    page.quoted_empty(3); // Replacement NPI, EIN, organization
    page.quoted(&[tables.last_name(random)]);
    page.quoted(&[tables.first_name(random)]);
    page.quoted(&[if random.happens(MIDDLE_NAME) { tables.first_name(random) } else { "" }]);
    page.quoted_empty(2); // prefix, suffix
    page.quoted(&[if random.happens(CREDENTIAL) { random.choose(&CREDENTIALS) } else { "" }]);
    page.quoted_empty(2); // other organization
    let renamed = random.happens(OTHER_NAME);
    page.quoted(&[if renamed { tables.last_name(random) } else { "" }]);
    page.quoted(&[if renamed { tables.first_name(random) } else { "" }]);
    page.quoted_empty(4);
    page.quoted(&[if renamed { "1" } else { "" }]);
}

/// The same, of an organization.
fn append_organization(tables: &Tables, random: &mut Random, page: &mut Page) {
    page.quoted_empty(1);
    page.quoted(&["<UNAVAIL>"]);
    page.quoted(&[tables.last_name(random), " ", random.choose(&ORGANIZATIONS)]);
    page.quoted_empty(6);
    let renamed = random.happens(OTHER_NAME);
    page.quoted(&[if renamed { tables.last_name(random) } else { "" }]);
    page.quoted(&[if renamed { "3" } else { "" }]);
    page.quoted_empty(7);
}

fn append_address(tables: &Tables, random: &mut Random, state: &str, page: &mut Page) {
    let number = 1 + random.skewed_below(9_999);
    page.quoted(&[&number.to_string(), " ", tables.street(random), " ", random.choose(&STREET_TYPES)]);
    let suite = 100 + random.below(900);
    if random.happens(SECOND_LINE) {
        page.quoted(&["STE ", &suite.to_string()])
    } else {
        page.quoted_empty(1)
    }
    page.quoted(&[&tables.commune(random).name]);
    page.quoted(&[state]);
    page.quoted(&[&format!("{:09}", random.below(1_000_000_000))]);
    page.quoted(&["US"]);
    append_phone(random, page);
    if random.happens(FAX) { append_phone(random, page) } else { page.quoted_empty(1) }
}

fn append_phone(random: &mut Random, page: &mut Page) {
    page.quoted(&[&(2_010_000_000 + random.below(1 << 32)).to_string()]);
}

/// `days` since 1970-01-01 as MM/DD/YYYY.
fn append_date(days: u64, page: &mut Page) {
    let (year, month, day) = civil_date(days);
    page.quoted(&[&format!("{month:02}/{day:02}/{year:04}")]);
}

/// The sex of a person, the authorized official of an organization.
fn append_official(individual: bool, tables: &Tables, random: &mut Random, page: &mut Page) {
    if individual {
        page.quoted(&[random.choose(&["F", "M"])]);
        page.quoted_empty(5);
        return;
    }
    page.quoted_empty(1);
    page.quoted(&[tables.last_name(random)]);
    page.quoted(&[tables.first_name(random)]);
    page.quoted_empty(1);
    page.quoted(&[random.choose(&TITLES)]);
    append_phone(random, page);
}

fn append_taxonomies(random: &mut Random, state: &str, page: &mut Page) {
    let count = 1 + random.skewed_below(4) as usize;
    for number in 0..count {
        let code = *random.choose_skewed(&TAXONOMY_CODES);
        page.quoted(&[code]);
        if random.happens(LICENSED) {
            page.quoted(&[random.choose(&["A", "RN", "MD"]), &random.below(1_000_000).to_string()]);
            page.quoted(&[state]);
        } else {
            page.quoted_empty(2);
        }
        page.quoted(&[if number == 0 { "Y" } else { "N" }]);
    }
    page.quoted_empty(TAXONOMY_COLUMNS.len() * (TAXONOMIES - count));
}

fn append_other_identifiers(random: &mut Random, state: &str, page: &mut Page) {
    let count = if random.happens(IDENTIFIED_OTHERWISE) { 1 + random.skewed_below(8) as usize } else { 0 };
    for _ in 0..count {
        page.quoted(&[&random.below(1 << 32).to_string()]);
        page.quoted(&[random.choose(&["01", "05"])]);
        page.quoted(&[state]);
        page.quoted_empty(1);
    }
    page.quoted_empty(OTHER_IDENTIFIER_COLUMNS.len() * (OTHER_IDENTIFIERS - count));
}

/// Sole proprietor or subpart, the taxonomy groups, and the day of certification.
fn append_standing(individual: bool, random: &mut Random, page: &mut Page) {
    if individual {
        page.quoted(&[if random.happens(SOLE_PROPRIETOR) { "Y" } else { "N" }]);
        page.quoted_empty(ORGANIZATION_COLUMNS.len() - 1);
    } else {
        page.quoted_empty(1);
        page.quoted(&["N"]);
        page.quoted_empty(ORGANIZATION_COLUMNS.len() - 2);
    }
    page.quoted(&[if random.happens(IN_A_GROUP) { "193400000X SINGLE SPECIALTY GROUP" } else { "" }]);
    page.quoted_empty(TAXONOMIES - 1);
    let certified = FIRST_DAY + DAYS + random.below(1_000);
    if random.happens(CERTIFIED) { append_date(certified, page) } else { page.quoted_empty(1) }
}
