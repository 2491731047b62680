// Package docs holds the code of the pages beside it, as examples that are compiled
// and run.
package docs
