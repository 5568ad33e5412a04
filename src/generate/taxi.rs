//! The shape of New York's yellow taxi trips (TLC, as CSV): two timestamps, small integers, money with as few decimals as it
//! needs. Trips are nearly in the order of their start; the total is the sum of its parts.

use super::Records;
use super::page::Page;
use super::random::{Odds, Random};

const COLUMNS: [&str; 19] = [
    "VendorID",
    "tpep_pickup_datetime",
    "tpep_dropoff_datetime",
    "passenger_count",
    "trip_distance",
    "RatecodeID",
    "store_and_fwd_flag",
    "PULocationID",
    "DOLocationID",
    "payment_type",
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "total_amount",
    "congestion_surcharge",
    "airport_fee",
];

/// 2023-01-01T00:00:00, in seconds since 1970.
const FIRST_PICKUP: u64 = 1_672_531_200;
const ZONES: u64 = 265;

const STANDARD_RATE: Odds = Odds::percent(95);
const STORED_AND_FORWARDED: Odds = Odds::percent(1);
const TIPPED: Odds = Odds::percent(65);
const TOLL_PAID: Odds = Odds::percent(5);
const IN_CONGESTION_ZONE: Odds = Odds::percent(90);
const FROM_AIRPORT: Odds = Odds::percent(8);

// Money in cents.
const BASE_FARE: u64 = 300;
const FARE_PER_HALF_MINUTE: u64 = 50;
const EXTRAS: [u64; 5] = [0, 50, 100, 250, 300];
const MTA_TAX: u64 = 50;
const BRIDGE_TOLL: u64 = 655;
const IMPROVEMENT_SURCHARGE: u64 = 30;
const CONGESTION_SURCHARGE: u64 = 250;
const AIRPORT_FEE: u64 = 125;

/// Trips, one after another.
pub(super) struct Taxi {
    random: Random,
    /// Seconds since 1970; the pickups of one moment lie within the half hour after it.
    moment: u64,
}

impl Taxi {
    pub(super) fn new(random: Random) -> Self {
        Self { random, moment: FIRST_PICKUP }
    }
}

impl Records for Taxi {
    fn append_header(&self, page: &mut Page) {
        page.header(&COLUMNS);
    }

    fn append(&mut self, page: &mut Page) {
        let random = &mut self.random;
        self.moment += random.below(3);
        let pickup = self.moment + random.below(1_800);
        let duration_seconds = 120 + random.skewed_below(5_000);
        let miles_per_hour = random.within(8..=28);

        page.integer(random.within(1..=2));
        page.timestamp(pickup, b' ', "");
        page.timestamp(pickup + duration_seconds, b' ', "");
        page.integer(1 + random.skewed_below(6));
        page.hundredths(duration_seconds * miles_per_hour / 36, b'.'); // 3,600 s an hour, 100 hundredths a mile
        page.integer(if random.happens(STANDARD_RATE) { 1 } else { random.within(2..=5) });
        page.text(if random.happens(STORED_AND_FORWARDED) { "Y" } else { "N" });
        page.integer(random.within(1..=ZONES));
        page.integer(random.within(1..=ZONES));
        page.integer(1 + random.skewed_below(4));
        append_charges(random, duration_seconds, page);
        page.end_record();
    }
}

/// The nine columns of money.
fn append_charges(random: &mut Random, duration_seconds: u64, page: &mut Page) {
    let fare = BASE_FARE + duration_seconds / 30 * FARE_PER_HALF_MINUTE;
    let extra = random.choose(&EXTRAS);
    let tip = if random.happens(TIPPED) { fare / 5 + random.below(100) } else { 0 };
    let tolls = if random.happens(TOLL_PAID) { BRIDGE_TOLL } else { 0 };
    let congestion = if random.happens(IN_CONGESTION_ZONE) { CONGESTION_SURCHARGE } else { 0 };
    let airport = if random.happens(FROM_AIRPORT) { AIRPORT_FEE } else { 0 };
    let total = fare + extra + MTA_TAX + tip + tolls + IMPROVEMENT_SURCHARGE + congestion + airport;
    for cents in [fare, extra, MTA_TAX, tip, tolls, IMPROVEMENT_SURCHARGE, total, congestion, airport] {
        page.shortest_hundredths(cents);
    }
}
