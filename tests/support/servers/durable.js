// Loaded into Azurite before it starts: an acknowledged write is on the disk, as it is with the real service.
//
// Azurite keeps its metadata in memory and saves them every five seconds, so that kill -9 would take back what it had
// acknowledged. Here the reply to a request that writes waits until both of its databases are saved.
"use strict";
const { ServerResponse } = require("node:http");
const Loki = require(require.resolve("lokijs", { paths: [process.argv[1]] }));

const databases = new Set();
const load = Loki.prototype.addCollection;
Loki.prototype.addCollection = function (...args) {
  databases.add(this);
  return load.apply(this, args);
};

const saved = (database) =>
  new Promise((resolve, reject) => database.saveDatabase((error) => (error ? reject(error) : resolve())));

const end = ServerResponse.prototype.end;
ServerResponse.prototype.end = function (...args) {
  if (["GET", "HEAD", "OPTIONS"].includes(this.req.method)) return end.apply(this, args);
  Promise.all([...databases].map(saved)).then(
    () => end.apply(this, args),
    (error) => this.destroy(error),
  );
  return this;
};
