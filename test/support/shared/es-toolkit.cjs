/* global module */
module.exports = globalThis.sharedModule('es-toolkit/compat');
