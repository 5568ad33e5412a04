//! The shape of the French property sales (*demandes de valeurs foncières*): `|` between fields, decimal comma, dd/mm/yyyy, many
//! empty fields. In UTF-8; every letter exists in Windows-1252 too.

use super::Records;
use super::page::{DateOrder, Page};
use super::random::{Odds, Random};
use super::tables::Tables;

const COLUMNS: [&str; 43] = [
    "Identifiant de document",
    "Reference document",
    "1 Articles CGI",
    "2 Articles CGI",
    "3 Articles CGI",
    "4 Articles CGI",
    "5 Articles CGI",
    "No disposition",
    "Date mutation",
    "Nature mutation",
    "Valeur fonciere",
    "No voie",
    "B/T/Q",
    "Type de voie",
    "Code voie",
    "Voie",
    "Code postal",
    "Commune",
    "Code departement",
    "Code commune",
    "Prefixe de section",
    "Section",
    "No plan",
    "No Volume",
    "1er lot",
    "Surface Carrez du 1er lot",
    "2eme lot",
    "Surface Carrez du 2eme lot",
    "3eme lot",
    "Surface Carrez du 3eme lot",
    "4eme lot",
    "Surface Carrez du 4eme lot",
    "5eme lot",
    "Surface Carrez du 5eme lot",
    "Nombre de lots",
    "Code type local",
    "Type local",
    "Identifiant local",
    "Surface reelle bati",
    "Nombre pieces principales",
    "Nature culture",
    "Nature culture speciale",
    "Surface terrain",
];

/// The document's identifier and its articles, never filled in the published files.
const WITHHELD_COLUMNS: usize = 7;
const LOTS_MAX: u64 = 5;
/// 2023-01-01, in days since 1970.
const FIRST_DAY: u64 = 19_358;

const PLAIN_SALE: Odds = Odds::percent(88);
const VALUE_KNOWN: Odds = Odds::percent(98);
const VALUE_WITH_CENTS: Odds = Odds::percent(20);
const STREET_NUMBER: Odds = Odds::percent(62);
const NUMBER_SUFFIX: Odds = Odds::percent(4);
const STREET_TYPE: Odds = Odds::percent(90);
const SECTION_PREFIX: Odds = Odds::percent(5);
const IN_LOTS: Odds = Odds::percent(33);
const LOT_MEASURED: Odds = Odds::percent(25);
const BUILT: Odds = Odds::percent(60);
const LAND: Odds = Odds::percent(65);
const SPECIAL_LAND: Odds = Odds::percent(3);

const OTHER_TRANSFERS: [&str; 5] = [
    "Vente en l'état futur d'achèvement",
    "Vente en l'état futur d'achèvement",
    "Echange",
    "Vente terrain à bâtir",
    "Adjudication",
];
const NUMBER_SUFFIXES: [&str; 3] = ["B", "T", "A"];
const STREET_TYPES: [&str; 8] = ["RUE", "AV", "CHE", "RTE", "BD", "IMP", "ALL", "PL"];
const PREMISES: [(&str, &str); 6] = [
    ("1", "Maison"),
    ("1", "Maison"),
    ("2", "Appartement"),
    ("2", "Appartement"),
    ("3", "Dépendance"),
    ("4", "Local industriel. commercial ou assimilé"),
];
const LAND_USES: [&str; 8] = ["S", "S", "T", "P", "AB", "J", "L", "BT"];
const SPECIAL_LAND_USES: [&str; 3] = ["POTAG", "PACAG", "ETANG"];

/// Sales of the year 2023, in no order.
pub(super) struct Dvf {
    tables: Tables,
    random: Random,
}

impl Dvf {
    pub(super) fn new(tables: Tables, random: Random) -> Self {
        Self { tables, random }
    }
}

impl Records for Dvf {
    fn append_header(&self, page: &mut Page) {
        page.header(&COLUMNS);
    }

    fn delimiter(&self) -> u8 {
        b'|'
    }

    fn append(&mut self, page: &mut Page) {
        let Self { tables, random } = self;
        page.empty(WITHHELD_COLUMNS);
        append_transfer(random, page);
        append_place(tables, random, page);
        append_lots(random, page);
        append_premises(random, page);
        append_land(random, page);
        page.end_record();
    }
}

fn append_transfer(random: &mut Random, page: &mut Page) {
    page.padded(1 + random.skewed_below(4), 6);
    page.date(FIRST_DAY + random.below(365), DateOrder::French);
    page.text(if random.happens(PLAIN_SALE) { "Vente" } else { random.choose(&OTHER_TRANSFERS) });
    if random.happens(VALUE_KNOWN) {
        let euros = 1_000 + random.skewed_below(600_000);
        let cents = if random.happens(VALUE_WITH_CENTS) { random.below(100) } else { 0 };
        page.hundredths(euros * 100 + cents, b',');
    } else {
        page.empty(1);
    }
}

fn append_place(tables: &Tables, random: &mut Random, page: &mut Page) {
    if random.happens(STREET_NUMBER) {
        page.integer(1 + random.skewed_below(400))
    } else {
        page.empty(1)
    }
    page.text(if random.happens(NUMBER_SUFFIX) { random.choose(&NUMBER_SUFFIXES) } else { "" });
    page.text(if random.happens(STREET_TYPE) { random.choose(&STREET_TYPES) } else { "" });
    page.padded(random.below(10_000), 4); // Code voie
    page.text(tables.street(random));
    let commune = tables.commune(random);
    page.text(commune.postal_code(random));
    page.text(&commune.name);
    page.text(commune.departement);
    page.text(commune.code_in_departement());
    if random.happens(SECTION_PREFIX) {
        page.padded(random.below(900), 3)
    } else {
        page.empty(1)
    }
    let section = [letter(random), letter(random)];
    page.text(std::str::from_utf8(&section).expect("two ASCII letters"));
    page.integer(1 + random.skewed_below(900)); // No plan
    page.empty(1); // No Volume
}

fn letter(random: &mut Random) -> u8 {
    b'A' + random.below(26) as u8
}

fn append_lots(random: &mut Random, page: &mut Page) {
    let lots = if random.happens(IN_LOTS) { 1 + random.skewed_below(LOTS_MAX) } else { 0 };
    for _ in 0..lots {
        page.integer(1 + random.skewed_below(400));
        let square_metres_hundredths = 900 + random.skewed_below(12_000);
        if random.happens(LOT_MEASURED) { page.hundredths(square_metres_hundredths, b',') } else { page.empty(1) }
    }
    page.empty(2 * (LOTS_MAX - lots) as usize);
    page.integer(lots);
}

fn append_premises(random: &mut Random, page: &mut Page) {
    if !random.happens(BUILT) {
        page.empty(5);
        return;
    }
    let (code, name) = random.choose(&PREMISES);
    page.text(code);
    page.text(name);
    page.empty(1); // Identifiant local
    page.integer(10 + random.skewed_below(200)); // Surface reelle bati
    page.integer(random.below(8)); // Nombre pieces principales
}

fn append_land(random: &mut Random, page: &mut Page) {
    if random.happens(LAND) {
        page.text(random.choose(&LAND_USES));
        page.text(if random.happens(SPECIAL_LAND) { random.choose(&SPECIAL_LAND_USES) } else { "" });
        page.integer(20 + random.skewed_below(9_000));
    } else {
        page.empty(3);
    }
}
