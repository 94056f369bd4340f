"""What a study's rows say: statistics, sentences, tables, pictures and pages."""
