// One attention call of RuVector's native package, timed inside Node: a line "WHAT LOOPS" in, microseconds a call out.
//
//   one    one query against 100 keys of 64 numbers, by its object's compute()
//   all    100 queries, one after the other: the package has no call for all of them
//   rust   one query, by the package's own benchmark, which times inside its Rust code
//
// Started with the folder that holds node_modules as its argument.
'use strict';
const path = require('path');
const readline = require('readline');
const lib = require(path.join(process.argv[2], 'node_modules', '@ruvector/attention'));

const WIDTH = 64;
const KEYS = 100;
const row = () => Float32Array.from({ length: WIDTH }, () => Math.random() * 2 - 1);
const rows = () => Array.from({ length: KEYS }, row);
const queries = rows();
const keys = rows();
const values = rows();
const attention = new lib.DotProductAttention(WIDTH);

const calls = {
  one: () => attention.compute(queries[0], keys, values),
  all: () => queries.forEach((query) => attention.compute(query, keys, values)),
};

async function microseconds(what, loops) {
  if (what === 'rust') {
    const told = await lib.benchmarkAttention('ScaledDotProduct', WIDTH, KEYS, loops);
    return told.avgMs * 1000;
  }
  const begin = process.hrtime.bigint();
  for (let i = 0; i < loops; i++) calls[what]();
  return Number(process.hrtime.bigint() - begin) / 1000 / loops;
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const [what, loops] = line.split(' ');
  console.log(String(await microseconds(what, Number(loops))));
});
