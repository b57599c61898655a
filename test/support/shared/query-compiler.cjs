/* global module */
module.exports = globalThis.sharedModule('@prisma/client/runtime/query_compiler_fast_bg.postgresql.wasm-base64.js');
