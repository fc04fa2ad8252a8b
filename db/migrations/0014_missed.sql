CREATE TABLE "syncline"."missed" (
	"connection_id" text NOT NULL,
	"stream" text NOT NULL,
	"id" text COLLATE "C" NOT NULL,
	CONSTRAINT "missed_connection_id_stream_id_pk" PRIMARY KEY("connection_id","stream","id")
);
