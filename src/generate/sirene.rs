//! The shape of INSEE's stock of establishments (`StockEtablissement`): identifiers with leading zeros, short text, ISO dates,
//! many empty fields, names in quotes, now and then a newline inside them. Values are plausible, not consistent: no check digit
//! is right, no activity fits its name.

use super::Records;
use super::page::{DateOrder, Page};
use super::random::{Odds, Random};
use super::tables::{Commune, Tables};

const COLUMNS: [&str; 54] = [
    "siren",
    "nic",
    "siret",
    "statutDiffusionEtablissement",
    "dateCreationEtablissement",
    "trancheEffectifsEtablissement",
    "anneeEffectifsEtablissement",
    "activitePrincipaleRegistreMetiersEtablissement",
    "dateDernierTraitementEtablissement",
    "etablissementSiege",
    "nombrePeriodesEtablissement",
    "complementAdresseEtablissement",
    "numeroVoieEtablissement",
    "indiceRepetitionEtablissement",
    "dernierNumeroVoieEtablissement",
    "indiceRepetitionDernierNumeroVoieEtablissement",
    "typeVoieEtablissement",
    "libelleVoieEtablissement",
    "codePostalEtablissement",
    "libelleCommuneEtablissement",
    "libelleCommuneEtrangerEtablissement",
    "distributionSpecialeEtablissement",
    "codeCommuneEtablissement",
    "codeCedexEtablissement",
    "libelleCedexEtablissement",
    "codePaysEtrangerEtablissement",
    "libellePaysEtrangerEtablissement",
    "identifiantAdresseEtablissement",
    "coordonneeLambertAbscisseEtablissement",
    "coordonneeLambertOrdonneeEtablissement",
    "complementAdresse2Etablissement",
    "numeroVoie2Etablissement",
    "indiceRepetition2Etablissement",
    "typeVoie2Etablissement",
    "libelleVoie2Etablissement",
    "codePostal2Etablissement",
    "libelleCommune2Etablissement",
    "libelleCommuneEtranger2Etablissement",
    "distributionSpeciale2Etablissement",
    "codeCommune2Etablissement",
    "codeCedex2Etablissement",
    "libelleCedex2Etablissement",
    "codePaysEtranger2Etablissement",
    "libellePaysEtranger2Etablissement",
    "dateDebut",
    "etatAdministratifEtablissement",
    "enseigne1Etablissement",
    "enseigne2Etablissement",
    "enseigne3Etablissement",
    "denominationUsuelleEtablissement",
    "activitePrincipaleEtablissement",
    "nomenclatureActivitePrincipaleEtablissement",
    "caractereEmployeurEtablissement",
    "activitePrincipaleNAF25Etablissement",
];

/// Of the second address, which hardly any establishment has.
const SECOND_ADDRESS_COLUMNS: usize = 14;

const SIREN_FIRST: u64 = 5_000_000;
const SIREN_END: u64 = 1_000_000_000;
/// A nic has five digits.
const NIC_END: u64 = 100_000;

const NEW_COMPANY: Odds = Odds::percent(70);
const DIFFUSIBLE: Odds = Odds::percent(90);
const CREATION_DATE_KNOWN: Odds = Odds::percent(97);
const NO_STAFF: Odds = Odds::percent(75);
const CRAFT_ACTIVITY: Odds = Odds::percent(5);
const TREATMENT_DATE_KNOWN: Odds = Odds::percent(93);
const HEAD_OFFICE: Odds = Odds::percent(70);
const ADDRESS_COMPLEMENT: Odds = Odds::percent(12);
const COMPLEMENT_IS_RESIDENCE: Odds = Odds::one_in(12);
const STREET_NUMBER: Odds = Odds::percent(72);
const NUMBER_SUFFIX: Odds = Odds::percent(4);
const LAST_STREET_NUMBER: Odds = Odds::percent(2);
const POST_BOX: Odds = Odds::one_in(60);
const CEDEX: Odds = Odds::percent(2);
const LOCATED: Odds = Odds::percent(80);
const ACTIVE: Odds = Odds::percent(45);
const NEWLINE_IN_SIGN: Odds = Odds::one_in(20_000);
const SIGN: Odds = Odds::percent(14);
const SIGN_WITH_COMMA: Odds = Odds::percent(5);
const SIGN_WITH_QUOTES: Odds = Odds::percent(5);
const USUAL_NAME: Odds = Odds::percent(11);
const TWO_NAMES: Odds = Odds::percent(50);
const EMPLOYER: Odds = Odds::percent(20);

const STAFF_RANGES_AND_YEARS: [(&str, &str); 6] =
    [("00", "2023"), ("01", "2023"), ("02", "2023"), ("03", "2023"), ("11", "2023"), ("12", "2022")];
const CRAFT_ACTIVITIES: [&str; 5] = ["4322A", "4334Z", "5610C", "9602A", "4520A"];
const NUMBER_SUFFIXES: [&str; 4] = ["B", "T", "A", "C"];
const STREET_TYPES: [&str; 10] =
    ["RUE", "RUE", "RUE", "AVENUE", "CHEMIN", "ROUTE", "BOULEVARD", "PLACE", "IMPASSE", "ALLEE"];
const LEGAL_FORMS: [&str; 4] = ["SCI ", "SARL ", "EURL ", "SAS "];
/// The most frequent first.
const ACTIVITIES: [&str; 24] = [
    "68.20A", "68.20B", "56.10A", "47.11B", "43.21A", "96.02A", "86.90E", "70.22Z", "62.01Z", "94.99Z", "01.11Z",
    "01.50Z", "47.91B", "49.41A", "81.21Z", "85.59A", "90.03A", "46.19B", "41.20A", "43.34Z", "56.30Z", "86.21Z",
    "69.10Z", "74.10Z",
];

/// Establishments in the order of their SIRET, as in the real stock.
pub(super) struct Sirene {
    tables: Tables,
    random: Random,
    siren: u64,
    nic: u64,
}

impl Records for Sirene {
    fn append_header(&self, page: &mut Page) {
        page.header(&COLUMNS);
    }

    fn append(&mut self, page: &mut Page) {
        // 1975 to 2019; the current period begins up to 2,000 days later.
        let created_day = self.random.within(2_000..=17_999);
        self.identity(page, created_day);
        self.address(page);
        page.empty(SECOND_ADDRESS_COLUMNS);
        self.current_period(page, created_day);
        page.end_record();
    }
}

impl Sirene {
    pub(super) fn new(tables: Tables, random: Random) -> Self {
        Self { tables, random, siren: SIREN_FIRST, nic: 0 }
    }

    fn next_siret(&mut self) {
        if self.nic == 0 || self.random.happens(NEW_COMPANY) {
            self.siren = (self.siren + self.random.within(1..=34)) % SIREN_END;
            self.nic = self.random.within(1..=3);
        } else {
            self.nic = (self.nic + self.random.within(1..=4)) % NIC_END;
        }
    }

    fn identity(&mut self, page: &mut Page, created_day: u64) {
        self.next_siret();
        let random = &mut self.random;
        page.padded(self.siren, 9);
        page.padded(self.nic, 5);
        page.padded(self.siren * NIC_END + self.nic, 14);
        page.text(if random.happens(DIFFUSIBLE) { "O" } else { "P" });
        if random.happens(CREATION_DATE_KNOWN) {
            page.date(created_day, DateOrder::Iso)
        } else {
            page.empty(1)
        }
        let (staff_range, staff_year) =
            if random.happens(NO_STAFF) { ("NN", "") } else { random.choose(&STAFF_RANGES_AND_YEARS) };
        page.text(staff_range);
        page.text(staff_year);
        page.text(if random.happens(CRAFT_ACTIVITY) { random.choose(&CRAFT_ACTIVITIES) } else { "" });
        if random.happens(TREATMENT_DATE_KNOWN) {
            // Mid 2016 to the end of 2024.
            let treated_day = random.within(17_000..=19_999);
            page.timestamp(treated_day * 86_400 + random.below(86_400), b'T', ".000");
        } else {
            page.empty(1);
        }
        page.text(if random.happens(HEAD_OFFICE) { "true" } else { "false" });
        let periods = random.within(1..=5);
        page.integer(periods);
    }

    fn address(&mut self, page: &mut Page) {
        let Self { tables, random, .. } = self;
        address_complement(tables, random, page);
        if random.happens(STREET_NUMBER) {
            page.integer(1 + random.skewed_below(300))
        } else {
            page.empty(1)
        }
        page.text(if random.happens(NUMBER_SUFFIX) { random.choose(&NUMBER_SUFFIXES) } else { "" });
        if random.happens(LAST_STREET_NUMBER) {
            page.integer(random.within(1..=99))
        } else {
            page.empty(1)
        }
        page.empty(1); // indiceRepetitionDernierNumeroVoie
        page.text(random.choose(&STREET_TYPES));
        page.text(tables.street(random));
        let commune = tables.commune(random);
        let postal_code = commune.postal_code(random);
        page.text(postal_code);
        page.text(&commune.name);
        page.empty(1); // libelleCommuneEtranger
        if random.happens(POST_BOX) {
            page.labelled("BP ", random.within(1..=999), 1, "")
        } else {
            page.empty(1)
        }
        page.text(commune.code);
        if random.happens(CEDEX) {
            page.text(postal_code);
            page.joined(&[&commune.name, " CEDEX"]);
        } else {
            page.empty(2);
        }
        page.empty(2); // codePaysEtranger, libellePaysEtranger
        location(commune, random, page);
    }

    fn current_period(&mut self, page: &mut Page, created_day: u64) {
        let Self { tables, random, .. } = self;
        page.date(created_day + random.below(2_000), DateOrder::Iso);
        page.text(if random.happens(ACTIVE) { "A" } else { "F" });
        shop_sign(tables, random, page);
        page.empty(2); // enseigne2, enseigne3
        if random.happens(USUAL_NAME) {
            let legal_form = random.choose(&LEGAL_FORMS);
            let partner = tables.last_name(random);
            if random.happens(TWO_NAMES) {
                page.joined(&[legal_form, partner, " ", tables.last_name(random)]);
            } else {
                page.joined(&[legal_form, partner]);
            }
        } else {
            page.empty(1);
        }
        let activity = random.choose_skewed(&ACTIVITIES);
        page.text(activity);
        page.text("NAFRev2");
        page.text(if random.happens(EMPLOYER) { "O" } else { "N" });
        page.text(activity);
    }
}

fn address_complement(tables: &Tables, random: &mut Random, page: &mut Page) {
    const BUILDINGS: [&str; 9] = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    if !random.happens(ADDRESS_COMPLEMENT) {
        page.empty(1);
    } else if random.happens(COMPLEMENT_IS_RESIDENCE) {
        page.quoted(&["RESIDENCE ", tables.last_name(random), ", BAT ", random.choose(&BUILDINGS)]);
    } else {
        page.joined(&["CHEZ ", tables.last_name(random)]);
    }
}

/// identifiantAdresse and the two Lambert coordinates.
fn location(commune: &Commune, random: &mut Random, page: &mut Page) {
    if random.happens(LOCATED) {
        // A street's number within its commune, four digits in five places.
        page.labelled(commune.code, random.below(10_000), 5, "_B");
        // The box around metropolitan France, in centimetres.
        page.hundredths(random.within(10_000_000..=119_999_999), b'.');
        page.hundredths(random.within(610_000_000..=709_999_999), b'.');
    } else {
        page.empty(3);
    }
}

fn shop_sign(tables: &Tables, random: &mut Random, page: &mut Page) {
    if random.happens(NEWLINE_IN_SIGN) {
        page.quoted(&[tables.last_name(random), "\nET FILS, \"", tables.last_name(random), "\""]);
    } else if !random.happens(SIGN) {
        page.empty(1);
    } else if random.happens(SIGN_WITH_COMMA) {
        page.quoted(&[tables.last_name(random), ", ", tables.first_name(random)]);
    } else if random.happens(SIGN_WITH_QUOTES) {
        page.quoted(&["LE \"", tables.last_name(random), "\""]);
    } else {
        page.joined(&["CHEZ ", tables.first_name(random), " ", tables.last_name(random)]);
    }
}
