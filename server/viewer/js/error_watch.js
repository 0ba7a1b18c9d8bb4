/** Which exceptions of the engine are news: those since the page was opened, or since the service was started again. */

export class ErrorWatch {
  constructor() {
    /** By kind, those that are no news. @type {Record<string, number> | null} */
    this.before = null;
    /** @type {Record<string, number>} */
    this.now = {};
    this.sets = 0;
  }

  /**
   * @param {number} sets Frame sets answered.
   * @param {Record<string, number>} errors Exceptions by kind since the service's start.
   */
  add(sets, errors) {
    const fell = sets < this.sets || Object.entries(this.now).some(([kind, count]) => (errors[kind] ?? 0) < count);
    // A service that was started again counts from zero: whatever it counts since then is news.
    if (this.before === null) this.before = errors;
    else if (fell) this.before = {};
    this.sets = sets;
    this.now = errors;
  }
}
