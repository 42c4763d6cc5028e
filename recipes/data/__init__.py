"""From folders of audio to training items: corpora, their layouts, shards on disk, draws."""
