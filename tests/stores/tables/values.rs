//! What is in the table, cell by cell.

use super::Barn;

const TYPES: &str = "columns: {infer: true, d: \"decimal(12,3)\"}\n";

#[test]
fn every_type_cell_by_cell() {
    let barn = Barn::new();
    let source = "b,i,f,d,day,at,utc,t\n\
        true,-9223372036854775808,0.1,-1.005,2024-02-29,2024-02-29T12:34:56.789,2024-02-29T12:34:56Z,\"é\n,\"\n\
        false,9223372036854775807,-1e300,123456789.125,0001-01-01,1969-12-31T23:59:59.999999,1969-12-31T23:59:59+02:00,x\n\
        ,,,,,,,\n\
        true,0,5e-324,0.000,9999-12-31,2000-01-01T00:00:00,2000-01-01T00:00:00Z,long enough\n";
    for partitions in [1, 3] {
        let name = format!("types-{partitions}");
        let spec =
            barn.spec(&name, source, partitions, &format!("table: \"Types {partitions}\""), &format!("  {TYPES}"));
        barn.run(&spec, 0);
        let table = format!("\"Types {partitions}\"");
        let types = barn.sql(&format!(
            "SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute \
             WHERE attrelid = '{table}'::regclass AND attnum > 0"
        ));
        assert_eq!(
            types,
            "boolean,bigint,double precision,numeric(12,3),date,timestamp without time zone,timestamp with time zone,text"
        );
        let rows = barn.sql(&format!("SET TimeZone = 'UTC'; SELECT * FROM {table} ORDER BY i"));
        let want = "t|-9223372036854775808|0.1|-1.005|2024-02-29|2024-02-29 12:34:56.789|2024-02-29 12:34:56+00|é\n,\n\
            t|0|5e-324|0.000|9999-12-31|2000-01-01 00:00:00|2000-01-01 00:00:00+00|long enough\n\
            f|9223372036854775807|-1e+300|123456789.125|0001-01-01|1969-12-31 23:59:59.999999|1969-12-31 21:59:59+00|x\n\
            |||||||";
        assert_eq!(rows, want);
        barn.ask(&["verify", barn.out(&name).to_str().unwrap()]).expect(0);
    }
    let ledger = barn.sql("SELECT target, epoch, rows, length(digest) FROM batteuse_ledger ORDER BY target");
    assert_eq!(ledger, "public.Types 1|1|4|32\npublic.Types 3|1|4|32");
}
