// Package valkeygo tests adapter/valkeygo on live servers. It has nothing to import.
package valkeygo
