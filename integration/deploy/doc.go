// Package deploy owns what becomes of docker/ before anybody installs it: the images,
// the compose file, the Helm chart, the units and the release are held to the program
// that they run, to the schemas of what reads them, and to rules of our own.
//
// What the chart renders is kept in testdata, one file for each choice of values, so
// that a change of the chart is seen as the change of what it installs. Helm renders
// them anew in "make deploy-check"; every run of the tests notices files that are older
// than the chart.
package deploy
