/** The service's access token, from the page's own address. */

/** Read it once and clear it away: an address is shown, kept and passed on. @returns {string | null} */
export function takeToken() {
  const url = new URL(window.location.href);
  const token = url.searchParams.get("token");
  if (token === null) return null;
  url.searchParams.delete("token");
  window.history.replaceState(window.history.state, "", url);
  return token;
}
