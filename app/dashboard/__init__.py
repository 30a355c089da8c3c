"""The dashboard at `/`: pages that `npm run build` in `web/` has made, a client of the API."""
