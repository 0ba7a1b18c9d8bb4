/** The dialogue that asks for the service's access token. */

import { ServiceError, signIn } from "./api.js";

export class TokenForm {
  /**
   * @param {object} elements
   * @param {HTMLDialogElement} elements.dialog @param {HTMLFormElement} elements.form @param {HTMLInputElement} elements.field
   * @param {HTMLElement} elements.complaint
   * @param {() => void} onAccepted
   */
  constructor({ dialog, form, field, complaint }, onAccepted) {
    this.dialog = dialog;
    this.field = field;
    this.complaint = complaint;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#show(onAccepted);
    });
  }

  /** Ask, unless that is going on already. */
  ask() {
    if (this.dialog.open) return;
    for (const other of document.querySelectorAll("dialog[open]")) /** @type {HTMLDialogElement} */ (other).close();
    this.complaint.textContent = "";
    this.dialog.showModal();
  }

  /** @param {() => void} onAccepted */
  async #show(onAccepted) {
    try {
      await signIn(this.field.value.trim());
    } catch (error) {
      const wrong = error instanceof ServiceError && error.status === 401;
      this.complaint.textContent = wrong ? "The service does not take this token" : String(/** @type {Error} */ (error).message);
      this.field.select();
      return;
    }
    this.field.value = "";
    this.dialog.close();
    onAccepted();
  }
}
