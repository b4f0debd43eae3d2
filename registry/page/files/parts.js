// Small things that several views show.

import { h } from "./dom.js";
import * as places from "./places.js";
import { short } from "./words.js";

/** tag is a tag as a label. */
export const tag = (name) => h("span", { class: "tag" }, name);

/** digest shows the beginning of a digest, and copies all of it. */
export function digest(value) {
	const button = h("button", { class: "digest", title: `${value}\ncopy`, "aria-label": `Copy digest ${short(value)}` }, short(value));
	button.addEventListener("click", async () => {
		const done = await navigator.clipboard?.writeText(value).then(() => true, () => false);
		button.classList.toggle("copied", done === true);
		setTimeout(() => button.classList.remove("copied"), 1200);
	});
	return button;
}

/** crumbs lead from all models to a model. */
export function crumbs(name) {
	const [ns, model] = name.split("/");
	return h("nav", { class: "crumbs", "aria-label": "Where this is" },
		h("a", { href: places.namespace(ns) }, ns), " / ", h("a", { href: places.model(name) }, model));
}

/** called is what a version is called: its repository unless that is here, its tags or digest. */
export function called(source, here) {
	const repo = source.repo === here ? "" : source.repo;
	const rev = source.tags?.[0] ?? short(source.digest);
	if (!repo) return rev;
	return `${repo}${source.tags?.[0] ? ":" : "@"}${rev}`;
}

/** command is a line for a terminal, with a button that copies it. */
export function command(text) {
	const button = h("button", { class: "copy" }, "Copy");
	button.addEventListener("click", async () => {
		const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
		button.textContent = done ? "Copied" : "Copy";
	});
	return h("div", { class: "command" }, h("code", {}, text), button);
}
