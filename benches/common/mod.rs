//! What the benchmarks share: the generated files, their types, and medians.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// Bytes of each generated file, unless `BATTEUSE_BENCH_BYTES` says otherwise.
const BYTES: &str = "1GB";

/// The size that is asked for.
pub fn bytes_asked() -> String {
    std::env::var("BATTEUSE_BENCH_BYTES").unwrap_or_else(|_| BYTES.to_owned())
}

/// Minimum, median and maximum.
pub fn spread(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

/// Generates a file by the binary.
pub fn generate(shape: &str, bytes: &str, file: &Path) {
    let made = Command::new(env!("CARGO_BIN_EXE_batteuse"))
        .args(["generate", shape, "--bytes", bytes, "--to"])
        .arg(file)
        .output();
    assert!(made.unwrap().status.success(), "generate {shape}");
}

/// The types that inspection finds, given to the peer.
pub fn schema(file: &Path) -> SchemaRef {
    let mut head = vec![0; 1 << 16];
    let n = File::open(file).unwrap().read(&mut head).unwrap();
    let header = String::from_utf8_lossy(&head[..n]).lines().next().unwrap().to_owned();
    let stamp = || DataType::Timestamp(TimeUnit::Microsecond, None);
    let of = |name: &str| match name {
        "dateDernierTraitementEtablissement" => stamp(),
        "dateCreationEtablissement" | "dateDebut" => DataType::Date32,
        "etablissementSiege" => DataType::Boolean,
        "anneeEffectifsEtablissement" | "nombrePeriodesEtablissement" => DataType::Int64,
        "coordonneeLambertAbscisseEtablissement" | "coordonneeLambertOrdonneeEtablissement" => DataType::Float64,
        "VendorID" | "passenger_count" | "RatecodeID" | "PULocationID" | "DOLocationID" | "payment_type" => {
            DataType::Int64
        }
        name if name.ends_with("_datetime") => stamp(),
        "trip_distance" | "fare_amount" | "extra" | "mta_tax" | "tip_amount" | "tolls_amount" => DataType::Float64,
        "improvement_surcharge" | "total_amount" | "congestion_surcharge" | "airport_fee" => DataType::Float64,
        _ => DataType::Utf8,
    };
    let fields: Vec<Field> = header.split(',').map(|name| Field::new(name, of(name), true)).collect();
    Arc::new(Schema::new(fields))
}
