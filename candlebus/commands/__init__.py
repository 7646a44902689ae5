"""The commands, one file a subject: a file without ``-ing`` declares options, its twin does the work."""
