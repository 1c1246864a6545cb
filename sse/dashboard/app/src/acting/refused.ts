/** What the page itself sees to be wrong with a field. */
export class Refused extends Error {
  constructor(readonly field: string, message: string) { super(message) }
}
