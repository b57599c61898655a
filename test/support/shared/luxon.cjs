/* global module */
module.exports = globalThis.sharedModule('luxon');
