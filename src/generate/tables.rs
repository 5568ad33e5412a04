//! The real names behind the generated rows: France's communes, drawn by their population, people's names and streets. Embedded
//! in the program from `data/`, whose README gives origin and licence. All in the capitals without accents of the registers.

use super::random::Random;

pub const COMMUNES: &str = include_str!("../../data/communes.csv");
const FIRST_NAMES: &str = include_str!("../../data/first-names.txt");
const LAST_NAMES: &str = include_str!("../../data/last-names.txt");

/// Columns of `communes.csv`. The last one, the postal codes, is the only one that is ever quoted.
const COMMUNE_COLUMNS: usize = 9;

/// Slots of the table that turns an even draw into a draw by population: one for about 500 inhabitants.
const POPULATION_SLOTS: u64 = 1 << 17;

/// Street names that every town has; drawn most.
const COMMON_STREETS: [&str; 20] = [
    "DE L EGLISE",
    "DU MOULIN",
    "DE LA REPUBLIQUE",
    "VICTOR HUGO",
    "JEAN JAURES",
    "DU GENERAL DE GAULLE",
    "PASTEUR",
    "DES LILAS",
    "DE LA GARE",
    "DES ECOLES",
    "DU CHATEAU",
    "DE VERDUN",
    "DE PARIS",
    "DU STADE",
    "GAMBETTA",
    "DU 8 MAI 1945",
    "DES ACACIAS",
    "DE LA LIBERTE",
    "DU LAVOIR",
    "JULES FERRY",
];

/// Made-up street names after the common ones: enough that a dictionary of them is large, as in the registers.
const RARE_STREETS: usize = 14_000;

/// The streets are the same for every shape and seed.
const STREET_SEED: u64 = 77;

/// One commune that has inhabitants and a postal code.
pub(super) struct Commune {
    /// Code INSEE, five characters.
    pub(super) code: &'static str,
    /// Two characters, three overseas; `code` begins with it.
    pub(super) departement: &'static str,
    pub(super) name: String,
    postal_codes: Vec<&'static str>,
    population: u64,
}

/// All that the shapes draw names from.
pub(super) struct Tables {
    communes: Vec<Commune>,
    /// Indexes into `communes`, each as often as its population asks.
    communes_by_population: Vec<u32>,
    first_names: Vec<String>,
    last_names: Vec<String>,
    streets: Vec<String>,
}

impl Commune {
    /// `None` for those without inhabitants or postal code (six villages destroyed in 1916, Antarctic districts).
    fn parse(line: &'static str) -> Option<Self> {
        let mut fields = line.splitn(COMMUNE_COLUMNS, ',');
        let (code, name, departement) = (fields.next()?, fields.next()?, fields.next()?);
        let population = fields.nth(3)?.parse().ok()?;
        let postal_codes = fields.nth(1)?.trim_matches('"');
        if population == 0 || postal_codes.is_empty() {
            return None;
        }
        let postal_codes = postal_codes.split(',').collect();
        Some(Self { code, departement, name: capitals(name), postal_codes, population })
    }

    /// Any of its postal codes.
    pub(super) fn postal_code(&self, random: &mut Random) -> &'static str {
        random.choose(&self.postal_codes)
    }

    /// The code INSEE within the département, as DVF writes it: without leading zeros.
    pub(super) fn code_in_departement(&self) -> &'static str {
        self.code[self.departement.len()..].trim_start_matches('0')
    }
}

impl Tables {
    pub(super) fn embedded() -> Self {
        let communes: Vec<Commune> = COMMUNES.lines().skip(1).filter_map(Commune::parse).collect();
        let first_names: Vec<String> = FIRST_NAMES.lines().map(capitals).collect();
        let last_names: Vec<String> = LAST_NAMES.lines().map(capitals).collect();
        let streets = streets(&communes, &first_names, &last_names);
        let communes_by_population = by_population(&communes);
        Self { communes, communes_by_population, first_names, last_names, streets }
    }

    /// A commune, as likely as it has inhabitants.
    pub(super) fn commune(&self, random: &mut Random) -> &Commune {
        &self.communes[random.choose(&self.communes_by_population) as usize]
    }

    pub(super) fn first_name(&self, random: &mut Random) -> &str {
        random.choose_skewed(&self.first_names).as_str()
    }

    pub(super) fn last_name(&self, random: &mut Random) -> &str {
        random.choose_skewed(&self.last_names).as_str()
    }

    /// A street's name without its type: `DE LA GARE`.
    pub(super) fn street(&self, random: &mut Random) -> &str {
        random.choose_skewed(&self.streets).as_str()
    }
}

fn by_population(communes: &[Commune]) -> Vec<u32> {
    let inhabitants: u64 = communes.iter().map(|commune| commune.population).sum();
    let mut index = 0;
    let mut counted = communes[0].population;
    let slot = |slot: u64| {
        while counted <= slot * inhabitants / POPULATION_SLOTS {
            index += 1;
            counted += communes[index as usize].population;
        }
        index
    };
    (0..POPULATION_SLOTS).map(slot).collect()
}

fn streets(communes: &[Commune], first_names: &[String], last_names: &[String]) -> Vec<String> {
    let mut random = Random::new(0, STREET_SEED);
    let any = |random: &mut Random, names: &[String]| names[random.below(names.len() as u64) as usize].clone();
    let mut rare_street = || match random.below(4) {
        0 => format!("DE {}", communes[random.below(communes.len() as u64) as usize].name.replace('\'', " ")),
        1 => format!("{} {}", any(&mut random, first_names), any(&mut random, last_names)),
        2 => format!("DU {}", any(&mut random, last_names)),
        _ => format!("DES {}S", any(&mut random, last_names)),
    };
    let mut streets: Vec<String> = COMMON_STREETS.map(str::to_owned).to_vec();
    streets.extend((0..RARE_STREETS).map(|_| rare_street()));
    streets
}

/// Capitals without accents. A letter that is not listed stays, and a test finds it.
fn capitals(name: &str) -> String {
    let mut capitals = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_uppercase) {
        match letter {
            'À' | 'Â' => capitals.push('A'),
            'Ç' => capitals.push('C'),
            'È' | 'É' | 'Ê' | 'Ë' => capitals.push('E'),
            'Î' | 'Ï' => capitals.push('I'),
            'Ô' | 'Ö' => capitals.push('O'),
            'Ù' | 'Û' | 'Ü' => capitals.push('U'),
            'Ÿ' => capitals.push('Y'),
            'Œ' => capitals.push_str("OE"),
            other => capitals.push(other),
        }
    }
    capitals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communes_are_read_as_a_csv_reader_reads_them() {
        let mut reader = csv::Reader::from_reader(COMMUNES.as_bytes());
        assert_eq!(reader.headers().unwrap().len(), COMMUNE_COLUMNS);
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 34_969);
        let inhabited = records.iter().filter(|record| record[6].parse::<u64>().is_ok_and(|people| people > 0));
        let expected: Vec<(String, String, String)> =
            inhabited.map(|record| (record[0].to_owned(), capitals(&record[1]), record[8].to_owned())).collect();
        let read: Vec<(String, String, String)> = Tables::embedded()
            .communes
            .into_iter()
            .map(|commune| (commune.code.to_owned(), commune.name, commune.postal_codes.join(",")))
            .collect();
        assert_eq!(read.len(), 34_957);
        assert_eq!(read, expected);
    }

    #[test]
    fn every_name_is_plain_capitals_that_need_no_quotes() {
        let tables = Tables::embedded();
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" '-()".contains(&byte);
        let communes = tables.communes.iter().map(|commune| &commune.name);
        for name in communes.chain(&tables.first_names).chain(&tables.last_names).chain(&tables.streets) {
            assert!(name.bytes().all(plain), "{name}");
        }
    }

    #[test]
    fn communes_are_drawn_by_their_population() {
        let tables = Tables::embedded();
        let inhabitants: u64 = tables.communes.iter().map(|commune| commune.population).sum();
        for name in ["PARIS", "MARSEILLE", "BREST"] {
            let commune = tables.communes.iter().position(|commune| commune.name == name).unwrap();
            let expected = tables.communes[commune].population * POPULATION_SLOTS / inhabitants;
            let slots = tables.communes_by_population.iter().filter(|index| **index as usize == commune).count() as u64;
            assert!(slots.abs_diff(expected) <= 1, "{name}: {slots} slots, not {expected}");
        }
    }

    #[test]
    fn codes_within_the_departement_follow_its_length() {
        let tables = Tables::embedded();
        let code_of = |code| {
            let commune = tables.communes.iter().find(|commune| commune.code == code).unwrap();
            (commune.departement, commune.code_in_departement())
        };
        assert_eq!(code_of("01004"), ("01", "4"));
        assert_eq!(code_of("2A004"), ("2A", "4"));
        assert_eq!(code_of("97411"), ("974", "11"));
    }
}
