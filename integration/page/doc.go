// Package page owns the tests of the page that the registry serves, in a real Chromium,
// and the pictures of it in the documentation.
//
// It has no API: all of it is tests.
package page
