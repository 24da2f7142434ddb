#!/usr/bin/env bash
# Installs the coding agents that judge the gateway, by exact version, into .cache/agents.
# Needs Node.js 18 or newer and npm. Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/.."

claude_code=2.1.330

installed() {
    local manifest=".cache/agents/node_modules/$1/package.json"
    [ -f "$manifest" ] && grep -q "\"version\": *\"$2\"" "$manifest"
}

if installed @anthropic-ai/claude-code "$claude_code"; then
    exit 0
fi
mkdir -p .cache/agents
npm install --silent --no-audit --no-fund --save-exact --prefix .cache/agents \
    "@anthropic-ai/claude-code@$claude_code"
installed @anthropic-ai/claude-code "$claude_code"
