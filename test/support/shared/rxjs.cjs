/* global module */
module.exports = globalThis.sharedModule('rxjs');
