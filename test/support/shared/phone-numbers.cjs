/* global module */
module.exports = globalThis.sharedModule('libphonenumber-js/max');
