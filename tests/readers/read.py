#!/usr/bin/env python3
"""Reads tables with one engine alone, and prints what that engine makes of them.

usage: read.py ENGINE JOB...
  JOB  {"read": PATH}                                    every cell of the table at PATH
       {"ask": PATH, "column": C, "from": A, "to": B}    the ids of the rows with A <= C <= B, and what the engine read for that
       {"about": PATH}                                   what the Parquet file at PATH says of itself (pyarrow alone)
  With "by": [[NAME, TYPE]...] the parts lie in folders by the values of these columns, which come last; what was read is `files`.

PATH is a folder of parts or one Parquet file. A table is printed as a line {"columns": [[NAME, TYPE]...], "voids": N} and a line
[CELL...] for each row, by `id` where there is one. Types are named as in a spec. A cell is null or a text that names the value to its
last bit: days for dates, microseconds for timestamps, the bits of doubles, all digits of decimals, bytes in hexadecimal. Columns
`void*` are not printed; N is 0 if none of them has a value. An answer is a line {"ids": [..], "read": {..}}, where `read` has `groups`,
the row groups that were read, or `rows`, or both.
"""

import datetime
import decimal
import glob
import hashlib
import json
import os
import re
import struct
import sys
import tempfile


def cell_of(ctype):
    """The function from the value of a column to its cell; dates and timestamps come as integers."""
    if ctype == "text":
        return str
    if ctype == "boolean":
        return {True: "true", False: "false"}.__getitem__
    if ctype in ("int32", "int64", "date", "timestamp", "timestamptz"):
        return int.__str__
    if ctype == "float64":
        return lambda value: struct.pack(">d", value).hex()
    if ctype == "binary":
        return lambda value: bytes(value).hex()
    scale = int(ctype.rstrip(")").split(",")[1])
    return lambda value: fixed(value, scale)


def fixed(value, scale):
    if isinstance(value, str):
        return value
    if value.as_tuple().exponent != -scale:
        raise ValueError(f"{value!r} has not the scale {scale}")
    return format(value, "f")


def literal_of(ctype, text):
    """A value of a column, from its text in ISO 8601 or as a number."""
    if ctype.startswith("decimal"):
        return decimal.Decimal(text)
    reads = {"int64": int, "float64": float, "boolean": "true".__eq__, "text": str}
    reads |= {"date": datetime.date.fromisoformat, "timestamp": datetime.datetime.fromisoformat}
    return reads[ctype](text)


def condition(column, ctype, start, end, mark='"', timestamp="TIMESTAMP '{}'"):
    """SQL that tells whether a column lies in a range."""
    name = quoted(column, mark)
    sql = {"int64": "{}", "boolean": "{}", "text": "'{}'", "date": "DATE '{}'", "timestamp": timestamp}
    sql["float64"] = "CAST('{}' AS DOUBLE)"
    start, end = (sql.get(ctype, f"CAST('{{}}' AS {ctype})").format(text) for text in (start, end))
    return f"{name} = {start}" if start == end else f"{name} BETWEEN {start} AND {end}"


def files(path, by=()):
    """The path of a file, or the parts of a folder, or of its folders by values, as a pattern."""
    return os.path.join(path, *["*=*"] * len(by), "*.parquet") if os.path.isdir(path) else path


def ordered(columns, by):
    """The columns with those of folders last, in the order of the folders: engines have them in several."""
    names = [name for name, _ in by]
    last = {name: (name, ctype) for name, ctype in columns if name in names}
    return [column for column in columns if column[0] not in names] + [last[name] for name in names]


def show(columns, rows, voids):
    print(json.dumps({"columns": columns, "voids": voids}))
    cells = [cell_of(ctype) for _, ctype in columns]
    for row in rows:
        print(json.dumps([None if value is None else cell(value) for cell, value in zip(cells, row)]))


def shown(columns):
    return [(name, ctype) for name, ctype in columns if not name.startswith("void")]


def voids(columns):
    return [name for name, _ in columns if name.startswith("void")]


def quoted(name, mark='"'):
    return f"{mark}{name}{mark}"


def count_of(columns, mark='"'):
    """SQL that counts the rows with a value in a void column; none where there are no such columns."""
    names = ", ".join(quoted(name, mark) for name in voids(columns))
    return f"count(coalesce({names}))" if names else None


def order_of(columns, mark='"'):
    return f" ORDER BY {quoted('id', mark)}" if any(name == "id" for name, _ in columns) else ""


def decimal_type(text):
    precision, scale = re.fullmatch(r"(?i)decimal\w*\((?:precision=)?(\d+), ?(?:scale=)?(\d+)\)", text).groups()
    return f"decimal({precision},{scale})"


class DuckDB:
    TYPES = {"VARCHAR": "text", "BOOLEAN": "boolean", "INTEGER": "int32", "BIGINT": "int64", "DOUBLE": "float64", "DATE": "date"}
    TYPES |= {"TIMESTAMP": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamptz", "BLOB": "binary"}

    def __init__(self):
        import duckdb

        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'; SET threads = 2")

    def sql(self, query):
        return self.connection.execute(query).fetchall()

    def columns(self, table):
        rows = self.sql(f"DESCRIBE FROM {table}")
        return [(name, self.TYPES.get(ctype) or decimal_type(ctype)) for name, ctype, *_ in rows]

    def table(self, path, by):
        names = {ctype: name for name, ctype in self.TYPES.items()}
        types = ", ".join(f"'{name}': {names[ctype]}" for name, ctype in by)
        hive = f", hive_partitioning = true, hive_types = {{{types}}}" if by else ""
        return f"read_parquet('{files(path, by)}'{hive})"

    def read(self, path, by=()):
        table = self.table(path, by)
        columns = ordered(self.columns(table), by)
        forms = {"date": "{} - DATE '1970-01-01'", "timestamp": "epoch_us({})", "timestamptz": "epoch_us({})"}
        values = [forms.get(ctype, "{}").format(quoted(name)) for name, ctype in shown(columns)]
        rows = self.sql(f"SELECT {', '.join(values)} FROM {table}{order_of(columns)}")
        counts = count_of(columns)
        show(shown(columns), rows, self.sql(f"SELECT {counts} FROM {table}")[0][0] if counts else 0)

    def ask(self, path, column, start, end, by=()):
        table = self.table(path, by)
        query = f"SELECT id FROM {table} WHERE {condition(column, dict(self.columns(table))[column], start, end)}"
        plan = self.sql(f"EXPLAIN ANALYZE {query}")[0][1]
        what, pattern = ("files", r"Total Files Read: (\d+)") if by else ("groups", r"Row Groups Scanned: (\d+) /")
        return [id for (id,) in self.sql(query)], {what: sum(int(read) for read in re.findall(pattern, plan))}


class PyArrow:
    @staticmethod
    def schema_of(by):
        import pyarrow

        types = {"text": pyarrow.string(), "int64": pyarrow.int64(), "date": pyarrow.date32(), "boolean": pyarrow.bool_()}
        return pyarrow.schema([(name, types[ctype]) for name, ctype in by])

    def table(self, path, by=()):
        import pyarrow.dataset

        partitioning = pyarrow.dataset.partitioning(self.schema_of(by), flavor="hive") if by else None
        # Given a folder, it leaves out what begins with `_`.
        return pyarrow.dataset.dataset(path, format="parquet", partitioning=partitioning)

    @staticmethod
    def type_of(arrow):
        names = {"string": "text", "string_view": "text", "bool": "boolean", "int32": "int32", "int64": "int64", "double": "float64"}
        names |= {"date32[day]": "date", "timestamp[us]": "timestamp", "timestamp[us, tz=UTC]": "timestamptz"}
        names |= {"binary": "binary", "binary_view": "binary"}
        return names.get(str(arrow)) or decimal_type(str(arrow))

    @staticmethod
    def values(array, ctype):
        import pyarrow

        width = {"date": pyarrow.int32(), "timestamp": pyarrow.int64(), "timestamptz": pyarrow.int64()}.get(ctype)
        return (array.cast(width) if width else array).to_pylist()

    def read(self, path, by=()):
        table = self.table(path, by).to_table()
        columns = ordered([(field.name, self.type_of(field.type)) for field in table.schema], by)
        if any(name == "id" for name, _ in columns):
            table = table.sort_by("id")
        count = sum(len(column) - column.null_count for column in map(table.column, voids(columns)))
        show(shown(columns), zip(*(self.values(table.column(name), ctype) for name, ctype in shown(columns))), count)

    def about(self, path):
        import pyarrow.parquet

        file = pyarrow.parquet.ParquetFile(path)
        columns = [(field.name, self.type_of(field.type)) for field in file.schema_arrow]
        form = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
        said = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
        print(json.dumps(said | {"hashed": hashlib.sha256(form.encode()).hexdigest()}))

    def ask(self, path, column, start, end, by=()):
        import pyarrow
        import pyarrow.dataset

        table = self.table(path, by)
        field, arrow = pyarrow.dataset.field(column), table.schema.field(column).type
        start, end = (pyarrow.scalar(literal_of(self.type_of(arrow), text), arrow) for text in (start, end))
        where = field == start if start == end else (field >= start) & (field <= end)
        ids = table.to_table(["id"], filter=where).column("id").to_pylist()
        if by:
            return ids, {"files": len(list(table.get_fragments(where)))}
        return ids, {"groups": sum(len(fragment.subset(where).row_groups) for fragment in table.get_fragments())}


def overheard(work):
    """What `work` returns, and what is written to standard error meanwhile, by whatever language."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as words:
        os.dup2(words.fileno(), 2)
        try:
            done = work()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        words.seek(0)
        return done, words.read().decode()


class Polars:
    def __init__(self):
        # It tells there what it reads; it looks when it is loaded.
        os.environ["POLARS_VERBOSE"] = "1"

    def type_of(self, dtype):
        import polars

        if isinstance(dtype, polars.Decimal):
            return f"decimal({dtype.precision},{dtype.scale})"
        names = {polars.String: "text", polars.Boolean: "boolean", polars.Int32: "int32", polars.Int64: "int64"}
        names |= {polars.Float64: "float64", polars.Date: "date", polars.Binary: "binary"}
        names |= {polars.Datetime("us"): "timestamp", polars.Datetime("us", "UTC"): "timestamptz"}
        return names[dtype]

    def scan(self, path, by):
        import polars

        types = {"text": polars.String, "int64": polars.Int64, "date": polars.Date, "boolean": polars.Boolean}
        hive = {"hive_partitioning": True, "hive_schema": {name: types[ctype] for name, ctype in by}} if by else {}
        # Given a folder, it refuses files that are no Parquet: `_SUCCESS`.
        return polars.scan_parquet(files(path, by), **hive)

    def read(self, path, by=()):
        import polars

        scan = self.scan(path, by)
        columns = ordered([(name, self.type_of(dtype)) for name, dtype in scan.collect_schema().items()], by)
        physical = [name for name, ctype in columns if ctype in ("date", "timestamp", "timestamptz")]
        table = scan.with_columns(polars.col(physical).to_physical()).collect()
        if any(name == "id" for name, _ in columns):
            table = table.sort("id")
        count = sum(len(column) - column.null_count() for column in table.select(voids(columns)))
        show(shown(columns), table.select([name for name, _ in shown(columns)]).rows(), count)

    def ask(self, path, column, start, end, by=()):
        import polars

        scan = self.scan(path, by)
        dtype, field = scan.collect_schema()[column], polars.col(column)
        start, end = (polars.lit(literal_of(self.type_of(dtype), text), dtype) for text in (start, end))
        where = field == start if start.meta.eq(end) else field.is_between(start, end)
        table, words = overheard(scan.filter(where).select("id").collect)
        if by:
            return table["id"].to_list(), {}
        groups = [int(read) for read in re.findall(r"Predicate pushdown: reading (\d+) /", words)]
        return table["id"].to_list(), {"groups": sum(groups)}


class DataFusion:
    def __init__(self):
        from datafusion import SessionContext

        self.context = SessionContext()
        self.context.sql("SET datafusion.execution.target_partitions = 2").collect()

    def table(self, path, by=()):
        # Given a folder, it leaves out its folders, but those of columns that are named, and what is no Parquet.
        self.context.deregister_table("it")
        self.context.register_parquet("it", path, table_partition_cols=[(field.name, field.type) for field in PyArrow.schema_of(by)])
        return ordered([(field.name, PyArrow.type_of(field.type)) for field in self.context.table("it").schema()], by)

    def rows(self, query):
        for batch in self.context.sql(query).collect():
            yield from zip(*(column.to_pylist() for column in batch.columns))

    def read(self, path, by=()):
        columns = self.table(path, by)
        forms = {"date": "arrow_cast({}, 'Int32')"} | dict.fromkeys(("timestamp", "timestamptz"), "arrow_cast({}, 'Int64')")
        values = [forms.get(ctype, "{}").format(quoted(name)) for name, ctype in shown(columns)]
        counts = count_of(columns)
        count = next(self.rows(f"SELECT {counts} FROM it"))[0] if counts else 0
        show(shown(columns), self.rows(f"SELECT {', '.join(values)} FROM it{order_of(columns)}"), count)

    def ask(self, path, column, start, end, by=()):
        # Its own literals are nanoseconds, which end in 2262.
        moment = "arrow_cast('{}', 'Timestamp(Microsecond, None)')"
        where = condition(column, dict(self.table(path, by))[column], start, end, timestamp=moment)
        if by:
            return [id for (id,) in self.rows(f"SELECT id FROM it WHERE {where}")], {}
        plan = "".join(str(line) for row in self.rows(f"EXPLAIN ANALYZE SELECT id FROM it WHERE {where}") for line in row)
        groups = re.search(r"row_groups_pruned_statistics=\d+ total → (\d+) matched", plan)
        # Given to four digits.
        rows, thousands = re.search(r"page_index_rows_pruned=.*? total → ([\d.]+)( K)? matched", plan).groups()
        read = {"groups": int(groups[1]), "rows": float(rows) * (1_000 if thousands else 1)}
        return [id for (id,) in self.rows(f"SELECT id FROM it WHERE {where}")], read


class Spark:
    TYPES = {"string": "text", "boolean": "boolean", "int": "int32", "bigint": "int64", "double": "float64", "date": "date"}
    TYPES |= {"timestamp_ntz": "timestamp", "timestamp": "timestamptz", "binary": "binary"}

    def __init__(self):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        from pyspark.sql import SparkSession

        self.folder = tempfile.TemporaryDirectory()
        settings = {
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            # It lives for seconds only.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.local.dir": self.folder.name,
            "spark.sql.warehouse.dir": self.folder.name,
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
        }
        builder = SparkSession.builder.master("local[2]")
        for key, value in settings.items():
            builder = builder.config(key, value)
        self.session = builder.getOrCreate()
        self.tables = {}

    def open(self, path, by):
        if not by:
            return self.session.read.parquet(path)
        names = {"text": "string", "int64": "long", "date": "date", "boolean": "boolean"}
        schema = self.session.read.parquet(min(glob.glob(glob.escape(path) + "/*=*" * len(by) + "/*.parquet"), key=len)).schema
        for name, ctype in by:
            schema = schema.add(name, names[ctype])
        return self.session.read.schema(schema).parquet(path)

    def table(self, path, by=()):
        # Given a folder, it leaves out what begins with `_`. The schema of each is read once: that is a job of its own.
        if path not in self.tables:
            self.tables[path] = self.open(path, by)
        self.tables[path].createOrReplaceTempView("it")
        return ordered([(name, self.TYPES.get(ctype) or decimal_type(ctype)) for name, ctype in self.tables[path].dtypes], by)

    def read(self, path, by=()):
        columns = self.table(path, by)
        forms = {"date": "unix_date({})", "timestamp": "unix_micros(CAST({} AS TIMESTAMP))", "timestamptz": "unix_micros({})"}
        # On their way to Python small decimals get two zeros behind their last digit.
        forms |= {ctype: "CAST({} AS STRING)" for _, ctype in columns if ctype.startswith("decimal")}
        values = [forms.get(ctype, "{}").format(quoted(name, "`")) for name, ctype in shown(columns)]
        counts = count_of(columns, "`")
        count = self.session.sql(f"SELECT {counts} FROM it").collect()[0][0] if counts else 0
        show(shown(columns), self.session.sql(f"SELECT {', '.join(values)} FROM it{order_of(columns, '`')}").collect(), count)

    def ask(self, path, column, start, end, by=()):
        where = condition(column, dict(self.table(path, by))[column], start, end, "`", "TIMESTAMP_NTZ '{}'")
        query = self.session.sql(f"SELECT id FROM it WHERE {where}")
        ids = [id for (id,) in query.collect()]
        return ids, {} if by else {"rows": scanned(query._jdf.queryExecution().executedPlan())}


def scanned(plan):
    """Rows that the leaves of a plan that was executed have read."""
    children = [plan.children().apply(i) for i in range(plan.children().size())]
    return sum(map(scanned, children)) if children else plan.metrics().apply("numOutputRows").value()


ENGINES = {"duckdb": DuckDB, "pyarrow": PyArrow, "polars": Polars, "datafusion": DataFusion, "spark": Spark}


def main():
    engine = ENGINES[sys.argv[1]]()
    for job in map(json.loads, sys.argv[2:]):
        if "read" in job:
            engine.read(job["read"], job.get("by", ()))
        elif "about" in job:
            engine.about(job["about"])
        else:
            ids, read = engine.ask(job["ask"], job["column"], job["from"], job["to"], job.get("by", ()))
            print(json.dumps({"ids": sorted(ids), "read": read}))


main()
