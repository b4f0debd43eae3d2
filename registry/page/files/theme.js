// Light or dark: as the system has it, until the reader chooses.

const root = document.documentElement;
const key = "ingot.theme";

try {
	const chosen = localStorage.getItem(key);
	if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
} catch { /* storage is forbidden: nothing was chosen */ }

/** turn changes from light to dark or back, and remembers that. */
export function turn() {
	const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
	root.dataset.theme = dark ? "light" : "dark";
	try {
		localStorage.setItem(key, root.dataset.theme);
	} catch { /* it lasts until the page is left */ }
}
