// The theme: the system's, or the one that was chosen here before.

const NAME = "genrec-theme";

/** Takes over a theme: "light", "dark", or "" for the system's. */
function use(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

/** Lets a select switch the theme. */
export function offer(select) {
  select.value = localStorage.getItem(NAME) ?? "";
  select.addEventListener("change", () => {
    localStorage.setItem(NAME, select.value);
    use(select.value);
  });
}

use(localStorage.getItem(NAME) ?? "");
