"""Workers that have no access to the database: they take jobs and deliver results over HTTP."""
