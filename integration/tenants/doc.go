// Package tenants owns the tests in which one tenant tries to learn of what another has,
// by everything that a registry answers.
//
// A question about something of the other tenant is asked together with the same
// question about something that nobody has. The answers have to be the same in status,
// headers and body, and the registry has to have asked its store for the same: what is
// done for both is then one thing, however long it takes.
//
// It has no API: all of it is tests.
package tenants
