-- run by the image once, when it makes the database
CREATE EXTENSION vector;
