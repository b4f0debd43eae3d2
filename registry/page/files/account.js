// Who reads, in the corner of the page: a registry without access control has nobody
// to name.

import { h, put } from "./dom.js";
import { get, forget, send } from "./api.js";
import * as places from "./places.js";

/** account is the corner; it fills when the registry has answered. */
export function account(go) {
	const corner = h("span", { class: "account" });
	draw(corner, go);
	addEventListener("ingot-session", () => draw(corner, go));
	return corner;
}

async function draw(corner, go) {
	const who = await get("v1/whoami").catch((e) => e.status === 401 ? { access: "tokens" } : null);
	if (!who || who.access === "open") return put(corner);
	if (!who.token) return put(corner, h("a", { href: places.signIn() }, "Sign in"));
	const out = async () => {
		await send("DELETE", "v1/session").catch(() => null);
		changed();
		go(places.home());
	};
	return put(corner,
		h("span", { class: "who", title: who.scopes?.toString() ?? "" }, who.subject),
		h("button", { class: "plain", onclick: out }, "Sign out"));
}

/** changed has everything be read anew, as another person. */
export function changed() {
	forget();
	dispatchEvent(new Event("ingot-session"));
}
