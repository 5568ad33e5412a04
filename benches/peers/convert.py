"""One conversion of a CSV file to Parquet by a peer, for `make bench`.

usage: convert.py PEER JOB
  PEER  duckdb, polars or datafusion
  JOB   JSON: {"source": path, "output": path, "threads": n, "columns": [{"name": text, "type": type}, ...]}
        where a type is text, boolean, int64, float64, date or timestamp; a column of timestamps has their "format" as well

The peer reads commas, quotes and a header, finds newlines within quotes, and writes zstd at level 3; all else is as it chooses. What
is printed, as JSON, is how many rows the file that it wrote has, and the seconds of the conversion: without those that Python took
to start, to import the peer and to count.
"""

import json
import os
import sys
import time


def quoted(name):
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def sql_types(timestamp):
    """The types in SQL, which names those of timestamps in more than one way."""
    return {
        "text": "VARCHAR",
        "boolean": "BOOLEAN",
        "int64": "BIGINT",
        "float64": "DOUBLE",
        "date": "DATE",
        "timestamp": timestamp,
    }


# Each peer: how it converts, and how it counts what it wrote.


def duckdb(job):
    import duckdb

    types = sql_types("TIMESTAMP")
    columns = ", ".join(f"{literal(column['name'])}: '{types[column['type']]}'" for column in job["columns"])
    source, output = literal(job["source"]), literal(job["output"])

    def convert():
        duckdb.execute(f"SET threads = {job['threads']}")
        # Its sniffer has nothing left to find out.
        rows = (
            f"SELECT * FROM read_csv({source}, auto_detect = false, header = true, delim = ',', quote = '\"', escape = '\"', "
            f"columns = {{{columns}}})"
        )
        duckdb.execute(f"COPY ({rows}) TO {output} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)")

    def count():
        return duckdb.execute(f"SELECT count(*) FROM read_parquet({output})").fetchone()[0]

    return convert, count


def polars(job):
    # It reads this once, when it is imported.
    os.environ["POLARS_MAX_THREADS"] = str(job["threads"])
    import polars

    types = {
        "text": polars.String,
        "boolean": polars.Boolean,
        "int64": polars.Int64,
        "float64": polars.Float64,
        "date": polars.Date,
        # Half as much time on taxi as its reader takes, which looks for the format in every value.
        "timestamp": polars.String,
    }
    schema = {column["name"]: types[column["type"]] for column in job["columns"]}
    timestamps = [
        polars.col(column["name"]).str.to_datetime(column["format"], time_unit="us")
        for column in job["columns"]
        if column["type"] == "timestamp"
    ]

    def convert():
        rows = polars.scan_csv(job["source"], schema=schema).with_columns(timestamps)
        rows.sink_parquet(job["output"], compression="zstd", compression_level=3)

    def count():
        return polars.scan_parquet(job["output"]).select(polars.len()).collect().item()

    return convert, count


def datafusion(job):
    # Its runtime reads this once, when it is started.
    os.environ["TOKIO_WORKER_THREADS"] = str(job["threads"])
    import datafusion

    types = sql_types("TIMESTAMP(6)")
    columns = ", ".join(f"{quoted(column['name'])} {types[column['type']]}" for column in job["columns"])
    settings = datafusion.SessionConfig().with_target_partitions(job["threads"])
    settings = settings.set("datafusion.execution.parquet.compression", "zstd(3)")
    session = datafusion.SessionContext(settings)

    def convert():
        session.sql(
            f"CREATE EXTERNAL TABLE source ({columns}) STORED AS CSV LOCATION {literal(job['source'])} "
            "OPTIONS ('format.has_header' 'true', 'format.newlines_in_values' 'true')"
        )
        session.sql(f"COPY (SELECT * FROM source) TO {literal(job['output'])} STORED AS PARQUET").collect()

    def count():
        return session.read_parquet(job["output"]).count()

    return convert, count


def main():
    peer, job = sys.argv[1], json.loads(sys.argv[2])
    convert, count = {"duckdb": duckdb, "polars": polars, "datafusion": datafusion}[peer](job)
    began = time.perf_counter()
    convert()
    seconds = time.perf_counter() - began
    print(json.dumps({"rows": count(), "seconds": seconds}))


main()
