// Loaded into Azurite before itself.
//
// An acknowledged write is on the disk, as it is with the real service. Azurite keeps its metadata in memory and saves them every
// five seconds, so that kill -9 would take back what it had acknowledged. Here the reply to a request that writes waits until both
// of its databases are saved.
//
// And what would report home is not loaded: it is not to be used, and is half of all that a start loads.
"use strict";
const Module = require("node:module");
const { ServerResponse } = require("node:http");
const Loki = require(require.resolve("lokijs", { paths: [process.argv[1]] }));

const load = Module._load;
Module._load = function (name, ...args) {
  return name === "applicationinsights" ? {} : load.call(this, name, ...args);
};

const databases = new Set();
const addCollection = Loki.prototype.addCollection;
Loki.prototype.addCollection = function (...args) {
  databases.add(this);
  return addCollection.apply(this, args);
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
