// Package tokens owns the tokens by which people and machines say who they are: it
// makes, lists and revokes them, and tells whose one is.
//
// Laws:
//   - A token is told once, to who makes it. What is stored tells nobody what it is.
//   - It says nothing by itself: what it allows, and until when, is stored. Whoever
//     revokes it has all replicas refuse it within half a minute.
//   - Nobody hands on more than they have, neither rights nor time.
//   - The subject of a token is a name that only a registry's admin gives out; who
//     else makes a token can only add to their own.
package tokens
