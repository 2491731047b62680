// Empty: a package with it may declare functions that have no body.
