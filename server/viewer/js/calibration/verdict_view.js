/** A verdict on the page: a headline and a line a camera. */

/** @typedef {import("./calibration_words.js").Verdict} Verdict */

/** @param {HTMLElement} place @param {Verdict | null} verdict Null leaves the place empty. */
export function showVerdict(place, verdict) {
  if (verdict === null) {
    place.replaceChildren();
    return;
  }
  const heading = Object.assign(document.createElement("p"), { className: "verdict-headline", textContent: verdict.headline });
  heading.dataset.level = verdict.level;
  const list = document.createElement("ul");
  list.append(
    ...verdict.lines.map((line) => {
      const made = document.createElement("li");
      made.dataset.level = line.level;
      made.append(
        Object.assign(document.createElement("span"), { className: "verdict-camera", textContent: line.camera }),
        Object.assign(document.createElement("span"), { textContent: line.words }),
      );
      return made;
    }),
  );
  place.replaceChildren(heading, ...(verdict.lines.length ? [list] : []));
}
