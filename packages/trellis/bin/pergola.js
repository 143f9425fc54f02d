#!/usr/bin/env node
// Lives outside dist so that package managers can link the command before the first build.
import '../dist/cli/main.js';
