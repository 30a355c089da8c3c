"""A worker without access to the database: it takes jobs from a service over HTTPS."""
