// Signing in: a token becomes a cookie that scripts cannot read.

import { h, put } from "../dom.js";
import { send } from "../api.js";
import { changed } from "../account.js";
import * as places from "../places.js";

export async function signin({ query, go }) {
	const said = h("p", { class: "bad", role: "alert" });
	const field = h("input", { type: "password", name: "token", autocomplete: "current-password", placeholder: "hf_…", required: true, "aria-label": "Token", spellcheck: "false" });
	const button = h("button", { class: "button" }, "Sign in");
	const enter = async (event) => {
		event.preventDefault();
		put(said);
		button.disabled = true;
		try {
			await send("POST", "v1/session", { token: field.value.trim() });
			field.value = "";
			changed();
			await go(back(query.get("to")), true);
		} catch (e) {
			put(said, e.status === 401 ? "This token is not known here: it may be mistyped, expired or revoked." : e.message);
			field.focus();
		}
		button.disabled = false;
	};
	queueMicrotask(() => setTimeout(() => field.focus()));
	return h("section", { class: "signin" },
		h("h1", {}, "Sign in"),
		h("p", {}, "With a token of this registry, as ", h("code", {}, "ingot token create"), " prints it. The page only reads with it."),
		h("form", { onsubmit: enter }, field, button), said);
}

/** back is a place of this page only, whatever the address says. */
function back(to) {
	if (!to || !to.startsWith("/") || to.startsWith("//")) return places.home();
	const url = new URL(to, places.root);
	return places.read(url) ? url.pathname + url.search : places.home();
}

